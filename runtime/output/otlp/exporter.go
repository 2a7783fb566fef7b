package otlp

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output/http1"
	"github.com/gotrace/gotrace/runtime/output/metrics"
	"github.com/gotrace/gotrace/runtime/output/protowire"
)

// Times of the exporter.
const (
	defaultInterval = 10 * time.Second // between metrics
	defaultDelay    = time.Second      // for which events wait for others
	postTimeout     = 10 * time.Second // for one request
	firstPause      = time.Second      // before the first retry; it doubles each time
	maxPause        = 30 * time.Second
	endTimeout      = 400 * time.Millisecond // for the last requests
)

// defaultPort is the port of collectors for OTLP over HTTP.
const defaultPort = 4318

// Exporter sends metrics and what its sinks receive to a collector. While the collector
// cannot be reached, it keeps a limited number of events and retries at growing
// intervals.
type Exporter struct {
	c      *metrics.Collector
	warn   func(text string)
	client http1.Client
	base   string // path before /v1/metrics
	header []string
	// resource and scope are the encoded Resource and InstrumentationScope.
	resource, scope protowire.Message
	interval, delay time.Duration

	logs, spans queue
	wake        chan struct{} // a batch is complete
	stop        chan struct{}
	done        chan struct{}
	once        sync.Once
	end         time.Time     // set before stop is closed: when the last request ends
	lastWait    time.Duration // endTimeout, or more in tests

	// The members below belong to the goroutine that sends.
	away    bool // the last request failed, but a retry may succeed
	pause   time.Duration
	refused map[string]bool // services whose refusal has been reported

	shiftAt   time.Time // when bootShift was read; only sinks use them, one at a time
	bootShift int64
}

// Config is the configuration of an Exporter.
type Config struct {
	Endpoint string
	Version  string // of gotrace
	Metrics  *metrics.Collector
	Warn     func(text string)
	Getenv   func(name string) string // for the variables of OpenTelemetry
	Interval time.Duration            // between metrics; 0: the default
	Delay    time.Duration            // for which events are collected into a batch; 0: the default
}

// Start starts an exporter. It does not connect yet: the collector may be away.
func Start(c Config) (*Exporter, error) {
	e := &Exporter{
		c: c.Metrics, warn: c.Warn, interval: c.Interval, delay: cmp.Or(c.Delay, defaultDelay), lastWait: endTimeout,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), refused: map[string]bool{},
	}
	if err := e.endpoint(c.Endpoint); err != nil {
		return nil, err
	}
	if e.interval == 0 {
		e.interval = defaultInterval
		if ms, err := strconv.ParseUint(c.Getenv("OTEL_METRIC_EXPORT_INTERVAL"), 10, 31); err == nil && ms >= 100 {
			e.interval = time.Duration(ms) * time.Millisecond
		}
	}
	for name, v := range pairs(c.Getenv("OTEL_EXPORTER_OTLP_HEADERS")) {
		if name == "" || strings.ContainsAny(name, "\r\n :") || strings.ContainsAny(v, "\r\n") {
			return nil, outline.Errorf("OTEL_EXPORTER_OTLP_HEADERS has an invalid header %q", name)
		}
		e.header = append(e.header, name+": "+v)
	}
	e.resource = resource(c.Getenv)
	e.scope.String(1, "gotrace")
	e.scope.String(2, metrics.ValidText(c.Version))
	go e.run()
	return e, nil
}

// endpoint sets the address of the collector.
func (e *Exporter) endpoint(text string) error {
	const wayOut = "run a collector or an agent on this machine that passes it on, and use http://127.0.0.1:4318"
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return outline.Errorf("the endpoint %q is not http://HOST:PORT, such as http://127.0.0.1:%d", text, defaultPort)
	case u.Scheme == "https":
		return errors.New("https:// is not supported, only unencrypted HTTP: " + wayOut)
	case u.Scheme == "grpc" || u.Scheme == "unix":
		return outline.Errorf("%s:// is not supported, only OTLP over HTTP: use the collector's port for that, such as http://127.0.0.1:%d", u.Scheme, defaultPort)
	case u.Scheme != "http":
		return outline.Errorf("the endpoint has the unknown scheme %q: use http://HOST:PORT", u.Scheme)
	case u.User != nil:
		return errors.New("the endpoint must not have a password: OTEL_EXPORTER_OTLP_HEADERS has headers such as authorization")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("the endpoint must not have a query")
	}
	e.client.Host, e.client.Port, e.client.Authority = u.Hostname(), defaultPort, u.Host
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return outline.Errorf("the endpoint has the invalid port %q", p)
		}
		e.client.Port = uint16(n)
	}
	e.base = strings.TrimSuffix(u.EscapedPath(), "/")
	return nil
}

// pairs returns the variables of a list of the form a=b,c=d.
func pairs(text string) map[string]string {
	m := map[string]string{}
	for item := range strings.SplitSeq(text, ",") {
		name, v, ok := strings.Cut(item, "=")
		if !ok {
			continue
		}
		if plain, err := url.PathUnescape(strings.TrimSpace(v)); err == nil {
			m[strings.TrimSpace(name)] = plain
		}
	}
	return m
}

// resource encodes what sends the data: this program on this machine.
func resource(getenv func(string) string) (m protowire.Message) {
	attrs := map[string]string{"service.name": "gotrace"}
	if host, err := os.Hostname(); err == nil {
		attrs["host.name"] = host
	}
	for name, v := range pairs(getenv("OTEL_RESOURCE_ATTRIBUTES")) {
		attrs[name] = v
	}
	if v := getenv("OTEL_SERVICE_NAME"); v != "" {
		attrs["service.name"] = v
	}
	for name, v := range attrs {
		m.Bytes(1, textAttribute(metrics.ValidText(name), metrics.ValidText(v)))
	}
	return m
}

// add adds an item to a queue.
func (e *Exporter) add(q *queue, item []byte) {
	if q.add(item) {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

// run sends until Close is called.
func (e *Exporter) run() {
	defer close(e.done)
	defer e.client.Close()
	next := time.Now().Add(min(e.interval, e.delay)) // time of the next metrics
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := min(e.delay, time.Until(next))
		wake := e.wake
		if e.away {
			wait, wake = e.pause, nil
		}
		timer.Reset(wait)
		select {
		case <-e.stop:
			e.last()
			return
		case <-wake:
		case <-timer.C:
		}
		if !e.sendQueues(time.Time{}) {
			continue
		}
		if now := time.Now(); !now.Before(next) {
			if !e.sendMetrics(postTimeout) {
				continue
			}
			if next = next.Add(e.interval); next.Before(now) {
				next = now.Add(e.interval)
			}
		}
	}
}

// last sends the remaining data when the script has ended.
func (e *Exporter) last() {
	ok := e.sendQueues(e.end) && time.Until(e.end) > 0 && e.sendMetrics(time.Until(e.end))
	logs, lostLogs := e.logs.left()
	spans, lostSpans := e.spans.left()
	if n := uint64(logs+spans) + lostLogs + lostSpans; n > 0 {
		e.warn(fmt.Sprintf("--otlp: %d events were not delivered", n))
	} else if !ok {
		e.warn("--otlp: the last metrics were not delivered")
	}
}

// sendQueues sends the waiting events, until a deadline if that is not zero. Events that
// arrive meanwhile wait for the next call, so that new events do not delay metrics
// forever. It returns false if the collector cannot be reached.
func (e *Exporter) sendQueues(deadline time.Time) bool {
	for _, q := range []struct {
		*queue
		service string
	}{{&e.logs, "logs"}, {&e.spans, "traces"}} {
		for range q.batches() {
			b, ok := q.first()
			if !ok {
				break
			}
			timeout := postTimeout
			if !deadline.IsZero() {
				if timeout = time.Until(deadline); timeout <= 0 {
					return !e.away
				}
			}
			switch e.post(q.service, b.data, timeout) {
			case later:
				return false
			case refused:
				q.remove(true)
			default:
				q.remove(false)
			}
		}
	}
	return true
}

// sendMetrics sends the current metrics. It returns false if the collector cannot be
// reached.
func (e *Exporter) sendMetrics(timeout time.Duration) bool {
	if !e.c.Ready() {
		return true
	}
	data := appendMetrics(e.c.Collect(), time.Now())
	return e.post("metrics", data, timeout) != later
}

// result is the outcome of a request.
type result int

const (
	delivered result = iota
	refused          // the collector rejects the request
	later            // the collector cannot be reached or is busy
)

// post sends a request to a service of the collector and reports failures.
func (e *Exporter) post(service string, data []byte, timeout time.Duration) result {
	path := e.base + "/v1/" + service
	a, err := e.client.Post(path, "application/x-protobuf", e.header, request(e.resource, e.scope, data), timeout)
	if err == nil && a.Status/100 == 2 {
		if e.away {
			e.away, e.pause = false, 0
			_, logs := e.logs.left()
			_, spans := e.spans.left()
			e.warn(fmt.Sprintf("--otlp: the collector is back; %d events were lost meanwhile", logs+spans))
		}
		if n, why := partial(a.Body); n > 0 && !e.refused[service] {
			e.refused[service] = true
			e.warn(fmt.Sprintf("--otlp: the collector rejected %d items of %s: %s", n, service, why))
		}
		return delivered
	}
	wait := time.Duration(0)
	if err == nil {
		switch a.Status {
		case 429, 502, 503, 504:
			err, wait = outline.Errorf("it answers with status %d", a.Status), a.RetryAfter
		default:
			if !e.refused[service] {
				e.refused[service] = true
				e.warn(fmt.Sprintf("--otlp: the collector refuses %s at %s with status %d: they are dropped", service, path, a.Status))
			}
			return refused
		}
	}
	if !e.away {
		e.away = true
		e.warn(fmt.Sprintf("--otlp: the collector at %s is away: %v; trying again until it is back", e.client.Authority, err))
	}
	// Half of the pause is random, so that many machines do not return at the same time.
	e.pause = min(max(2*e.pause, firstPause), maxPause)
	e.pause = max(wait, e.pause/2+rand.N(e.pause/2))
	return later
}

// Close sends what is left and ends the exporter. It takes at most half a second.
func (e *Exporter) Close() {
	e.once.Do(func() {
		e.end = time.Now().Add(e.lastWait)
		e.client.Limit(e.end) // also for a request in progress
		close(e.stop)
		select {
		case <-e.done:
		case <-time.After(e.lastWait + 100*time.Millisecond):
			logs, lostLogs := e.logs.left()
			spans, lostSpans := e.spans.left()
			e.warn(fmt.Sprintf("--otlp: the collector does not answer: the last metrics and %d events were not delivered", uint64(logs+spans)+lostLogs+lostSpans))
		}
	})
}
