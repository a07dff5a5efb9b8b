package bench;

import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Count per pin and minute with the DSL: groupByKey, windowedBy, count, exactly_once_v2, one thread.
 *
 * <p>The first argument is the store: rocksDB (the default of Kafka Streams) or in_memory. Commits once a second, as the
 * others land once a second (the default under exactly-once is ten times a second, which costs more). The cache is 64 MiB,
 * so that a cell is written to the changelog and landed once a commit, not once an event.
 */
public final class KafkaStreamsPeer {
    private KafkaStreamsPeer() {}

    public static void main(String[] arguments) throws InterruptedException {
        Properties config = new Properties();
        config.putAll(
                Map.of(
                        StreamsConfig.APPLICATION_ID_CONFIG, Told.value("GROUP"),
                        StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, Told.value("KAFKA"),
                        StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2,
                        StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000,
                        StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64 << 20,
                        StreamsConfig.STATE_DIR_CONFIG, Told.value("FOLDER"),
                        StreamsConfig.DSL_STORE_SUPPLIERS_CLASS_CONFIG, supplier(arguments[0])));
        KafkaStreams streams = new KafkaStreams(topology().build(), config);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        Thread.currentThread().join();
    }

    private static String supplier(String store) {
        String named = store.equals("in_memory") ? "InMemoryDslStoreSuppliers" : "RocksDBDslStoreSuppliers";
        return "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers$" + named;
    }

    private static StreamsBuilder topology() {
        Serde<Engagement> engagements =
                Serdes.serdeFrom((topic, event) -> null, (topic, json) -> Engagement.parse(json));
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(
                        Told.value("TOPIC"),
                        Consumed.with(Serdes.String(), engagements)
                                .withTimestampExtractor(
                                        (record, partitionTime) -> ((Engagement) record.value()).occurredAt))
                .peek((pin, event) -> Progress.one())
                .groupByKey(Grouped.with(Serdes.String(), engagements))
                .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), Duration.ofMinutes(1)))
                .count(
                        Materialized.<String, Long, WindowStore<org.apache.kafka.common.utils.Bytes, byte[]>>as("counts")
                                .withKeySerde(Serdes.String())
                                .withValueSerde(Serdes.Long()))
                .toStream()
                .process(Land::new);
        return builder;
    }

    /** Lands what the cache lets through, once a second. */
    private static final class Land implements Processor<Windowed<String>, Long, Void, Void> {
        private final Landing landing = new Landing();

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            context.schedule(Duration.ofSeconds(1), PunctuationType.WALL_CLOCK_TIME, now -> landing.flush());
        }

        @Override
        public void process(Record<Windowed<String>, Long> count) {
            landing.add(count.key().key(), (int) (count.key().window().start() / 1000), count.value());
        }

        @Override
        public void close() {
            landing.flush();
        }
    }
}
