package metrics

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	secrets "github.com/datasette-secrets/datasette-secrets"
)

// lookTime bounds what is looked at for one scrape. Scrapers wait for ten
// seconds.
const lookTime = 3 * time.Second

// Looks are what the figures of states are asked of, at every scrape.
type Looks struct {
	Plugins func() []secrets.PluginStatus
	State   func() State
	// Log reads the end of the audit log from the database. While it fails, its
	// figures are left out.
	Log func(context.Context) (Log, error)
}

// State is what is known without reading anything.
type State struct {
	Configured bool             // there are encryption keys
	Sealed     bool             // but they cannot be used yet
	Waiting    int              // changes that wait for their transaction
	Damages    int64            // how often a stored secret was found that cannot be trusted
	Files      map[string]int64 // bytes of the database's files, by what they are
}

// Log is where the audit log stands.
type Log struct {
	Entries int64
	Head    time.Time // when its newest head was signed; zero: never
}

// looker makes figures of states.
type looker struct {
	looks Looks
	build *prometheus.Desc
	descriptions
}

type descriptions struct {
	configured, sealed, waiting, damages, bytes *prometheus.Desc
	state, restarts, dropped                    *prometheus.Desc
	entries, head                               *prometheus.Desc
}

func newLooker(version string, looks Looks) *looker {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prefix+name, help, labels, nil)
	}
	return &looker{
		looks: looks,
		build: prometheus.NewDesc(prefix+"build_info", "What this host is built from; always 1.", nil,
			prometheus.Labels{"version": version, "go": runtime.Version()}),
		descriptions: descriptions{
			configured: describe("configured", "Whether there are encryption keys, 1 or 0."),
			sealed:     describe("sealed", "Whether the keys are still sealed, 1 or 0."),
			waiting:    describe("commits_waiting", "Changes that wait for their transaction."),
			damages:    describe("integrity_errors_total", "How often a stored secret was found that cannot be trusted."),
			bytes:      describe("database_bytes", "Size of the database's files.", "file"),
			state:      describe("plugin_state", "1 for the state that a plugin is in, 0 for the others.", "plugin", "state"),
			restarts:   describe("plugin_restarts_total", "How often a plugin was started again.", "plugin"),
			dropped:    describe("plugin_log_dropped_total", "Lines of a plugin that are not in the log, because it writes too many.", "plugin"),
			entries:    describe("log_entries", "Entries of the audit log."),
			head:       describe("log_head_timestamp_seconds", "When the newest head of the audit log was signed; absent before the first."),
		},
	}
}

// Describe implements prometheus.Collector: it names nothing, because some
// figures are not always there.
func (l *looker) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (l *looker) Collect(into chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value float64, labels ...string) {
		into <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
	}
	gauge(l.build, 1)
	state := l.looks.State()
	gauge(l.configured, oneIf(state.Configured))
	gauge(l.sealed, oneIf(state.Sealed))
	gauge(l.waiting, float64(state.Waiting))
	counter(l.damages, float64(state.Damages))
	for file, size := range state.Files {
		gauge(l.bytes, float64(size), file)
	}
	for _, p := range l.looks.Plugins() {
		for _, s := range secrets.PluginStates() {
			gauge(l.state, oneIf(s == p.State), p.Name, string(s))
		}
		counter(l.restarts, float64(p.Restarts), p.Name)
		counter(l.dropped, float64(p.DroppedLog), p.Name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	log, err := l.looks.Log(ctx)
	if err != nil {
		return
	}
	gauge(l.entries, float64(log.Entries))
	if !log.Head.IsZero() {
		gauge(l.head, float64(log.Head.UnixMilli())/1000)
	}
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
