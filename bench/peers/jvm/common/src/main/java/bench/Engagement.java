package bench;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;

/** What a count needs of an event. */
public class Engagement {
    private static final ObjectReader READER =
            new ObjectMapper().readerFor(Engagement.class).without(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

    @JsonProperty("pin_id")
    public String pin;

    /** Unix milliseconds. */
    @JsonProperty("occurred_at")
    public long occurredAt;

    public static Engagement parse(byte[] json) {
        try {
            return READER.readValue(json);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
