package bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.atomic.AtomicLong;

/** Counts the records handled in this process, and marks the first and the last: the clocks are read then, from outside. */
public final class Progress {
    private static final AtomicLong HANDLED = new AtomicLong();
    private static final long EVENTS = Long.parseLong(Told.value("EVENTS"));

    private Progress() {}

    public static void one() {
        long handled = HANDLED.incrementAndGet();
        if (handled == 1) {
            mark("first");
        }
        if (handled == EVENTS) {
            mark("last");
        }
    }

    private static void mark(String moment) {
        try {
            Files.writeString(Path.of(Told.value("MARKS")), moment + "\n", StandardOpenOption.APPEND);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
