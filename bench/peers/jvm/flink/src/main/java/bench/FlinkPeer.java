package bench;

import java.io.IOException;
import java.time.Duration;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/**
 * Count per pin and minute: a bounded Kafka source in streaming mode, tumbling event-time windows on the heap, an
 * exactly-once checkpoint every 10 s, one slot, object reuse. Rows are final when they are landed, so landing again is
 * harmless.
 */
public final class FlinkPeer {
    private FlinkPeer() {}

    public static void main(String[] arguments) throws Exception {
        Configuration config = new Configuration();
        config.set(StateBackendOptions.STATE_BACKEND, "hashmap");
        config.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + Told.value("FOLDER"));
        StreamExecutionEnvironment job = StreamExecutionEnvironment.createLocalEnvironment(1, config);
        job.setRuntimeMode(RuntimeExecutionMode.STREAMING);
        job.enableCheckpointing(10_000, CheckpointingMode.EXACTLY_ONCE);
        job.getConfig().enableObjectReuse();
        job.fromSource(source(), watermarks(), "events")
                .keyBy(event -> event.pin)
                .window(TumblingEventTimeWindows.of(Duration.ofMinutes(1)))
                .aggregate(new Count(), new Row())
                .sinkTo(new Land());
        job.execute();
        Thread.currentThread().join(); // the benchmark reads our clocks, then ends us
    }

    private static KafkaSource<Engagement> source() {
        return KafkaSource.<Engagement>builder()
                .setBootstrapServers(Told.value("KAFKA"))
                .setGroupId(Told.value("GROUP"))
                .setTopics(Told.value("TOPIC"))
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setBounded(OffsetsInitializer.latest())
                .setValueOnlyDeserializer(new Parse())
                .build();
    }

    private static WatermarkStrategy<Engagement> watermarks() {
        return WatermarkStrategy.<Engagement>forBoundedOutOfOrderness(Duration.ofSeconds(5))
                .withTimestampAssigner((event, timestamp) -> event.occurredAt);
    }

    private static final class Parse extends AbstractDeserializationSchema<Engagement> {
        private static final long serialVersionUID = 1;

        Parse() {
            super(TypeInformation.of(Engagement.class));
        }

        @Override
        public Engagement deserialize(byte[] json) {
            Progress.one();
            return Engagement.parse(json);
        }
    }

    private static final class Count implements AggregateFunction<Engagement, Long, Long> {
        private static final long serialVersionUID = 1;

        @Override
        public Long createAccumulator() {
            return 0L;
        }

        @Override
        public Long add(Engagement event, Long count) {
            return count + 1;
        }

        @Override
        public Long getResult(Long count) {
            return count;
        }

        @Override
        public Long merge(Long one, Long other) {
            return one + other;
        }
    }

    /** A final count. */
    public static class Cell {
        public String pin;
        public int minute;
        public long events;
    }

    private static final class Row extends ProcessWindowFunction<Long, Cell, String, TimeWindow> {
        private static final long serialVersionUID = 1;

        @Override
        public void process(String pin, Context context, Iterable<Long> counts, Collector<Cell> out) {
            Cell cell = new Cell();
            cell.pin = pin;
            cell.minute = (int) (context.window().getStart() / 1000);
            cell.events = counts.iterator().next();
            out.collect(cell);
        }
    }

    /** Inserts when the buffer is full, and before each checkpoint and the end. */
    private static final class Land implements Sink<Cell> {
        private static final long serialVersionUID = 1;

        @Override
        public SinkWriter<Cell> createWriter(WriterInitContext context) {
            return writer();
        }

        @Deprecated
        @Override
        public SinkWriter<Cell> createWriter(Sink.InitContext context) {
            return writer();
        }

        private static SinkWriter<Cell> writer() {
            Landing landing = new Landing();
            return new SinkWriter<>() {
                @Override
                public void write(Cell cell, Context context) {
                    landing.add(cell.pin, cell.minute, cell.events);
                }

                @Override
                public void flush(boolean endOfInput) throws IOException {
                    landing.flush();
                }

                @Override
                public void close() {}
            };
        }
    }
}
