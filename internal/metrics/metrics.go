// Package metrics counts what a host does and gives the figures to Prometheus.
//
// # The idea
//
// What happens often is counted where it happens, by the methods Request, Read
// and Commit of [Metrics]. What is a state, such as that of a plugin, is looked
// at when somebody asks for the figures: see [Looks].
//
// A nil *Metrics counts nothing and costs nothing, which is how metrics are
// turned off.
//
// # What the figures give away
//
// Every label has few values, that are known beforehand: the patterns of
// routes, the classes of status codes and errors, and the names of the plugins
// of this host. No label is made of what a request says, so that nobody can
// fill the memory with new ones; and none names a secret, an actor or an
// address.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// prefix is what the names of all figures begin with that are not Go's own.
const prefix = "datasette_secrets_"

// maxScrapes is how many are answered at once; the others are sent away.
const maxScrapes = 2

// Metrics are the figures of one host. It is safe for concurrent use.
type Metrics struct {
	requests     *prometheus.CounterVec   // route, status
	requestTimes *prometheus.HistogramVec // route
	reads        *prometheus.CounterVec   // plugin, result
	readTime     prometheus.Histogram
	commitTime   prometheus.Histogram
	commitSize   prometheus.Histogram
	failed       prometheus.Counter
	handler      http.Handler
}

// New returns the figures of a host of some version, all at zero.
func New(version string, looks Looks) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "http_requests_total", Help: "Requests answered, by route and class of status.",
		}, []string{"route", "status"}),
		requestTimes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "http_request_duration_seconds", Help: "Time taken to answer requests.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "reads_total", Help: "Secrets that plugins asked for, by what came of it.",
		}, []string{"plugin", "result"}),
		readTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "read_duration_seconds", Help: "Time taken to answer a plugin that asks for secrets.",
			Buckets: []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
		commitTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "commit_duration_seconds", Help: "Time taken by transactions that write, their sync to the disk included.",
			Buckets: []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10},
		}),
		commitSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "commit_changes", Help: "Changes that shared one transaction.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "commit_failures_total", Help: "Transactions of which nothing was kept, such as on a full disk.",
		}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.requestTimes, m.reads, m.readTime, m.commitTime, m.commitSize, m.failed,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newLooker(version, looks))
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, ErrorHandling: promhttp.ContinueOnError})
	return m
}

// ServeHTTP gives the figures to a scraper, which was let in before.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// Request counts a request that was answered. route is one of a fixed table.
func (m *Metrics) Request(route string, status int, took time.Duration) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(route, statusClass(status)).Inc()
	m.requestTimes.WithLabelValues(route).Observe(took.Seconds())
}

// statusClass is a status as "2xx"; there are six.
func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}[status/100-1]
}

// Read counts a secret that a plugin asked for. err is why it got none.
func (m *Metrics) Read(plugin string, err error) {
	if m == nil {
		return
	}
	m.reads.WithLabelValues(plugin, result(err)).Inc()
}

// ReadTook counts how long a plugin waited that asked for one or more secrets.
func (m *Metrics) ReadTook(took time.Duration) {
	if m == nil {
		return
	}
	m.readTime.Observe(took.Seconds())
}

// Commit counts a transaction of so many changes. err is why none was kept.
func (m *Metrics) Commit(changes int, took time.Duration, err error) {
	if m == nil {
		return
	}
	m.commitTime.Observe(took.Seconds())
	m.commitSize.Observe(float64(changes))
	if err != nil {
		m.failed.Inc()
	}
}
