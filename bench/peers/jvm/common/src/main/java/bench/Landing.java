package bench;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** Lands counts: absolute ones, packed as RowBinary, over HTTP. One thread uses it. */
public final class Landing {
    private static final int ROW_BYTES = 20;
    private static final int MOST_ROWS = 100_000;

    private final ByteBuffer rows = ByteBuffer.allocate(ROW_BYTES * MOST_ROWS).order(ByteOrder.LITTLE_ENDIAN);

    /** Minute in seconds since 1970. */
    public void add(String pin, int minute, long events) {
        if (!rows.hasRemaining()) {
            flush();
        }
        rows.putLong(Long.parseUnsignedLong(pin)).putInt(minute).putLong(events);
    }

    public void flush() {
        if (rows.position() == 0) {
            return;
        }
        String insert = "INSERT INTO " + Told.value("TABLE") + " FORMAT RowBinary";
        try {
            URI address = URI.create(Told.value("CLICKHOUSE") + "?query=" + URLEncoder.encode(insert, StandardCharsets.UTF_8));
            HttpURLConnection request = (HttpURLConnection) address.toURL().openConnection();
            request.setRequestMethod("POST");
            request.setDoOutput(true);
            request.setFixedLengthStreamingMode(rows.position());
            request.setRequestProperty("X-ClickHouse-User", Told.value("USER"));
            request.setRequestProperty("X-ClickHouse-Key", Told.value("PASSWORD"));
            try (OutputStream body = request.getOutputStream()) {
                body.write(rows.array(), 0, rows.position());
            }
            if (request.getResponseCode() != 200) {
                throw new IOException(new String(request.getErrorStream().readAllBytes(), StandardCharsets.UTF_8));
            }
            request.getInputStream().readAllBytes();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        rows.clear();
    }
}
