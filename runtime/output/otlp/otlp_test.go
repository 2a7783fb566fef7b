package otlp

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/metrics"
	"github.com/gotrace/gotrace/runtime/output/protowire"
	"github.com/gotrace/gotrace/runtime/value"
	"github.com/gotrace/gotrace/tests/testkit"
)

// collector is a collector that decodes requests with OpenTelemetry's own package. Its
// types for data in files have the same encoding as those for requests.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	metrics []*metricspb.MetricsData
	logs    []*logspb.LogsData
	spans   []*tracepb.TracesData
	answers []func(w http.ResponseWriter) // to the next requests, before it takes any
	errs    []string
	header  http.Header
}

func newCollector(t *testing.T, answers ...func(w http.ResponseWriter)) *collector {
	c := &collector{answers: answers}
	c.Server = httptest.NewServer(c)
	t.Cleanup(func() {
		c.Close()
		for _, e := range c.errs {
			t.Error(e)
		}
	})
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.errs = append(c.errs, fmt.Sprint(r.Method, r.Header, err))
	}
	if len(c.answers) > 0 {
		c.answers[0](w)
		c.answers = c.answers[1:]
		return
	}
	c.header = r.Header
	var m proto.Message
	switch r.URL.Path {
	case "/v1/metrics":
		x := &metricspb.MetricsData{}
		c.metrics, m = append(c.metrics, x), x
	case "/v1/logs":
		x := &logspb.LogsData{}
		c.logs, m = append(c.logs, x), x
	case "/v1/traces":
		x := &tracepb.TracesData{}
		c.spans, m = append(c.spans, x), x
	default:
		c.errs = append(c.errs, "a request for "+r.URL.Path)
		return
	}
	if err := proto.Unmarshal(body, m); err != nil {
		c.errs = append(c.errs, err.Error())
	}
}

// warnings collects what an exporter reports.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) add(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.list, "\n")
}

// start starts an exporter of some maps that sends events soon. lazy starts one that sends
// everything at its end.
func start(t *testing.T, endpoint string) (*Exporter, *warnings) {
	t.Helper()
	return startAt(t, 20*time.Millisecond, endpoint, nil)
}

func lazy(t *testing.T, endpoint string, env map[string]string, maps ...output.Map) (*Exporter, *warnings) {
	t.Helper()
	return startAt(t, time.Hour, endpoint, env, maps...)
}

func startAt(t *testing.T, delay time.Duration, endpoint string, env map[string]string, maps ...output.Map) (*Exporter, *warnings) {
	t.Helper()
	c, w := &metrics.Collector{}, &warnings{}
	c.Add(&metrics.Source{Maps: func() ([]output.Map, error) { return maps, nil }})
	e, err := Start(Config{Endpoint: endpoint, Version: "v1", Metrics: c, Warn: w.add, Getenv: func(name string) string { return env[name] }, Interval: time.Hour, Delay: delay})
	if err != nil {
		t.Fatal(err)
	}
	e.lastWait = time.Minute // the test may have to wait for a CPU
	return e, w
}

// TestMetrics checks the metrics that the collector receives for maps of each kind.
func TestMetrics(t *testing.T) {
	c := newCollector(t)
	key := func(k, v value.Value) []value.Entry { return []value.Entry{{Key: k, Value: v}} }
	e, w := lazy(t, c.URL+"/", map[string]string{
		"OTEL_SERVICE_NAME": "svc", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b,other=c", "OTEL_RESOURCE_ATTRIBUTES": "host.name=h",
	},
		output.Map{Name: "@c", Metric: value.Counter, Entries: key(value.Str{S: "\xff"}, value.Uint(7))},
		output.Map{Name: "@g", Metric: value.Gauge, Entries: key(nil, value.Int(math.MinInt64))},
		output.Map{Name: "@h", Metric: value.Histogram, Entries: key(nil, value.Hist{Buckets: []value.Bucket{{Min: 1, Max: 1, Count: 2}, {Min: 2, Max: 3, Count: 5}}})},
		output.Map{Name: "@q", Metric: value.Quantiles, Entries: key(nil, value.Record{{Name: "p50", V: value.Int(3)}, {Name: "count", V: value.Int(9)}})},
	)
	e.Close()
	if len(c.metrics) != 1 || w.String() != "" {
		t.Fatalf("%d requests, warnings %q", len(c.metrics), w)
	}
	if c.header.Get("X-Key") != "a b" || c.header.Get("Other") != "c" {
		t.Errorf("header: %v", c.header)
	}
	rm := c.metrics[0].ResourceMetrics[0]
	attrs := map[string]string{}
	for _, a := range rm.Resource.Attributes {
		attrs[a.Key] = a.Value.GetStringValue()
	}
	if diff := cmp.Diff(map[string]string{"service.name": "svc", "host.name": "h"}, attrs); diff != "" {
		t.Error(diff)
	}
	got := map[string]string{}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case *metricspb.Metric_Sum:
			p := d.Sum.DataPoints[0]
			got[m.Name] = fmt.Sprint("sum ", d.Sum.IsMonotonic, d.Sum.AggregationTemporality, p.GetAsInt(), " ", p.Attributes[0].Value.GetStringValue(), " ", p.StartTimeUnixNano <= p.TimeUnixNano && p.StartTimeUnixNano > 0)
		case *metricspb.Metric_Gauge:
			if p := d.Gauge.DataPoints[0]; len(p.Attributes) == 0 {
				got[m.Name] = fmt.Sprint("gauge ", p.GetAsInt())
			}
		case *metricspb.Metric_Histogram:
			p := d.Histogram.DataPoints[0]
			got[m.Name] = fmt.Sprint("histogram ", p.Count, p.ExplicitBounds, p.BucketCounts, p.Sum == nil)
		case *metricspb.Metric_Summary:
			p := d.Summary.DataPoints[0]
			got[m.Name] = fmt.Sprint("summary ", p.Count, p.QuantileValues[0].Quantile, p.QuantileValues[0].Value)
		}
	}
	want := map[string]string{
		"gotrace_c": "sum true AGGREGATION_TEMPORALITY_CUMULATIVE 7 \uFFFDff true",
		"gotrace_g": "gauge -9223372036854775808",
		"gotrace_h": "histogram 7 [1 3] [2 5 0] true",
		"gotrace_q": "summary 9 0.5 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestEvents checks the log records and the spans for the output of a script.
func TestEvents(t *testing.T) {
	c := newCollector(t)
	e, w := lazy(t, c.URL, nil)
	s := e.NewSink("a.bt")
	s.Printf("printf", "one\ntw")
	s.Printf("printf", "o\xff\n\nthree")
	s.Line("time", "12:00")
	s.Value(value.Record{{Name: "a", V: value.Int(-1)}, {Name: "b", V: value.Tuple{value.Bool(true), value.Str{S: "x"}, value.Bytes{1}}}})
	s.Alert(output.Alert{Time: time.Unix(5, 0), Priority: "CRITICAL", Text: "help\n"})
	s.Message(output.Message{Kind: "errorf", Level: output.Error, Text: "bad"})
	s.Lost(3)
	s.Date(time.Unix(3, 1))
	s.Value(value.Int(1))
	s.Alert(output.Alert{Time: time.Unix(2, 0), Priority: "Error", Text: "old"})
	s.Date(time.Time{})
	s.Value(value.Record{{Name: "start", V: value.Int(epoch)}, {Name: "end", V: value.Int(epoch + 5)}, {Name: "name", V: value.Str{S: "read"}}, {Name: "fd", V: value.Int(3)}})
	s.Value(value.Record{{Name: "start", V: value.Int(1000)}, {Name: "duration", V: value.Int(7)}})
	s.Value(value.Record{{Name: "start", V: value.Int(7)}, {Name: "end", V: value.Int(6)}}) // it ends before it starts
	s.Printf("printf", "rest")
	s.End()
	e.Close()
	if w.String() != "" || len(c.logs) != 1 || len(c.spans) != 1 {
		t.Fatalf("%d, %d, warnings %q", len(c.logs), len(c.spans), w)
	}
	var got []string
	for _, r := range c.logs[0].ResourceLogs[0].ScopeLogs[0].LogRecords {
		body := r.Body.GetStringValue()
		if body == "" {
			body = strings.ReplaceAll(prototext.MarshalOptions{}.Format(r.Body), "  ", " ")
		}
		if r.ObservedTimeUnixNano == 0 || r.Attributes[1].Value.GetStringValue() != "a.bt" {
			t.Error(r)
		}
		got = append(got, fmt.Sprint(r.Attributes[0].Value.GetStringValue(), " ", r.SeverityText, " ", body, " ", r.TimeUnixNano))
	}
	want := []string{
		"printf INFO one 0", "printf INFO two\uFFFDff 0", "time INFO three12:00 0",
		`value INFO kvlist_value:{values:{key:"a" value:{int_value:-1}} values:{key:"b" value:{array_value:{values:{bool_value:true} values:{string_value:"x"} values:{bytes_value:"\x01"}}}}} 0`,
		"alert CRITICAL help 5000000000", "errorf ERROR bad 0", "lost_events WARN Lost 3 events 0",
		"value INFO int_value:1 3000000001", "alert Error old 2000000000",
		`value INFO kvlist_value:{values:{key:"start" value:{int_value:7}} values:{key:"end" value:{int_value:6}}} 0`, "printf INFO rest 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	spans := c.spans[0].ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 2 {
		t.Fatal(spans)
	}
	a, b := spans[0], spans[1]
	if a.Name != "read" || a.StartTimeUnixNano != epoch || a.EndTimeUnixNano != epoch+5 || len(a.TraceId) != 16 || len(a.SpanId) != 8 ||
		a.Attributes[0].Key != "fd" || a.Attributes[0].Value.GetIntValue() != 3 {
		t.Error(a)
	}
	if b.EndTimeUnixNano-b.StartTimeUnixNano != 7 || b.StartTimeUnixNano < epoch || string(a.TraceId) == string(b.TraceId) {
		t.Error(b)
	}
}

// TestCalls checks the spans of calls that have returned, by thread and name.
func TestCalls(t *testing.T) {
	c := newCollector(t)
	e, w := lazy(t, c.URL, nil)
	s := e.NewSink("")
	at := func(tid int, ns int64) output.Stamp {
		return output.Stamp{Time: time.Unix(1, ns), PID: 7, TID: tid, Comm: "x"}
	}
	s.Call(at(1, 5), "never called", true, true)
	s.Call(at(1, 10), "f", false, true)
	s.Call(at(2, 11), "f", false, true)
	s.Call(at(1, 12), "g", false, true)
	s.Call(at(1, 13), "f", false, true)
	s.Call(at(1, 14), "f", true, true)
	s.Call(at(2, 20), "f", true, true)
	s.Call(at(1, 30), "f", true, true) // g never returns
	for n := range 2 * maxThreads {
		s.Call(at(n+10, 0), "f", false, true)
	}
	e.Close()
	var got []string
	for _, r := range c.spans {
		for _, p := range r.ResourceSpans[0].ScopeSpans[0].Spans {
			got = append(got, fmt.Sprint(p.Name, " ", p.StartTimeUnixNano-1e9, " to ", p.EndTimeUnixNano-1e9, " in ", p.Attributes[1].Value.GetIntValue()))
		}
	}
	if diff := cmp.Diff([]string{"f 13 to 14 in 1", "f 11 to 20 in 2", "f 10 to 30 in 1"}, got); diff != "" || w.String() != "" {
		t.Error(diff, w)
	}
	if len(s.open) > maxThreads {
		t.Errorf("%d threads are kept", len(s.open))
	}
}

func status(n int, header ...string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(n)
	}
}

// TestFailures checks what happens to a line if the collector fails in some way.
func TestFailures(t *testing.T) {
	raw := func(answer string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, answer)
			conn.Close()
		}
	}
	var inner, partial protowire.Message
	inner.Varint(1, 1)
	inner.String(2, "why")
	partial.Bytes(1, inner)
	for _, c := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		warn   string // a part of the warning; "" for none
	}{
		{"accepted", status(200), ""},
		{"accepted in chunks", func(w http.ResponseWriter) { w.Write([]byte{}); w.(http.Flusher).Flush(); w.Write([]byte{0x2a, 0}) }, ""},
		{"refused", status(400), "refuses logs at /v1/logs with status 400"},
		{"not found", status(404), "refuses logs at /v1/logs with status 404"},
		{"moved", status(301, "Location", "/x"), "refuses logs at /v1/logs with status 301"},
		{"busy", status(503, "Retry-After", "60"), "is away: it answers with status 503"},
		{"throttled", status(429), "is away: it answers with status 429"},
		{"partial", func(w http.ResponseWriter) { w.Write(partial) }, "rejected 1 items of logs: why"},
		{"closed", raw(""), "closed the connection without an answer"},
		{"nonsense", raw("hello\n"), `is away: the answer is not one of HTTP: it begins with "hello"`},
		{"binary", raw("\x00\x00\x06\x04\x00\n"), "is away: the answer is not one of HTTP"},
		{"cut short", raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), "is away: the answer ends too early"},
		{"bad length", raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "its length is invalid"},
		{"bad chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "has invalid lines"},
		{"huge chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n"), "has invalid lines"},
		{"long header", raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20000)), "the answer is too long"},
		{"huge body", raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"), ""},
		{"continue", raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			col := newCollector(t, c.answer)
			e, w := start(t, col.URL)
			e.NewSink("").Line("printf", "x")
			testkit.Eventually(t, func() bool { col.mu.Lock(); defer col.mu.Unlock(); return len(col.answers) == 0 })
			e.Close()
			if got := w.String(); c.warn == "" && got != "" || !strings.Contains(got, c.warn) {
				t.Errorf("warnings %q, want %q", got, c.warn)
			}
		})
	}
}

// TestBack checks that events wait for a collector that cannot be reached, and that
// metrics are sent when it is back.
func TestBack(t *testing.T) {
	c := newCollector(t, status(503), status(502))
	e, w := start(t, c.URL)
	e.NewSink("").Line("printf", "x")
	testkit.Eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.logs) == 1 && len(c.metrics) == 1 })
	e.Close()
	if got := w.String(); !strings.Contains(got, "503; trying again") || !strings.HasSuffix(got, "the collector is back; 0 events were lost meanwhile") {
		t.Errorf("warnings %q", got)
	}
}

// TestBusy checks that all kinds of items are sent while there are always new events: each
// request for events adds some.
func TestBusy(t *testing.T) {
	var mu sync.Mutex // of e, too
	var e *Exporter
	sent := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		sent[r.URL.Path]++
		switch r.URL.Path {
		case "/v1/logs":
			e.add(&e.logs, []byte("x"))
		case "/v1/traces":
			e.add(&e.spans, []byte("x"))
		}
	}))
	defer srv.Close()
	c := &metrics.Collector{}
	c.Add(&metrics.Source{Maps: func() ([]output.Map, error) { return nil, nil }})
	mu.Lock()
	var err error
	e, err = Start(Config{Endpoint: srv.URL, Metrics: c, Warn: func(string) {}, Getenv: func(string) string { return "" }, Delay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	e.add(&e.logs, []byte("x"))
	e.add(&e.spans, []byte("x"))
	mu.Unlock()
	testkit.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return sent["/v1/logs"] > 1 && sent["/v1/traces"] > 1 && sent["/v1/metrics"] > 0
	})
	e.Close()
}

// TestGone checks that a collector that is not there, or does not answer, delays the end by
// a short time only, and that the loss is reported.
func TestGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it accepts connections, but never answers
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, addr := range []string{l.Addr().String(), gone.Addr().String()} {
		e, w := start(t, addr)
		e.lastWait = endTimeout
		e.NewSink("").Line("printf", "x")
		e.wake <- struct{}{} // the first request may be under way
		began := time.Now()
		e.Close()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: the end takes %v", addr, took)
		}
		select {
		case <-e.done:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: a request goes on after the end", addr)
		}
		if got := w.String(); !strings.Contains(got, "not delivered") {
			t.Errorf("warnings %q", got)
		}
	}
}

// TestQueue checks that a queue is bounded.
func TestQueue(t *testing.T) {
	var q queue
	item := make([]byte, 1000)
	for range 2 * queueBytes / len(item) {
		q.add(item)
	}
	waiting, dropped := q.left()
	if waiting+int(dropped) != 2*queueBytes/len(item) || waiting*len(item) > queueBytes || dropped == 0 {
		t.Errorf("%d wait, %d are dropped", waiting, dropped)
	}
	for n := 0; ; n++ {
		b, ok := q.first()
		if !ok {
			if n != waiting {
				t.Errorf("%d items of %d", n, waiting)
			}
			break
		}
		n += b.items - 1
		q.remove(false)
	}
	if q.bytes != 0 {
		t.Errorf("%d bytes are left", q.bytes)
	}
}

func TestEndpoint(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"http://h", "h 4318 h "}, {"h:80", "h 80 h:80 "}, {"http://[::1]:5/a/", "::1 5 [::1]:5 /a"}, {"HTTP://h", "h 4318 h "},
	} {
		var e Exporter
		err := e.endpoint(c.text)
		if got := fmt.Sprint(e.client.Host, " ", e.client.Port, " ", e.client.Authority, " ", e.base); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.text, got, err)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"https://h", "http://127.0.0.1:4318"}, {"grpc://h:4317", "OTLP over HTTP"}, {"ftp://h", "unknown scheme"}, {"http://", "is not http://HOST:PORT"},
		{"http://a:b@h", "password"}, {"http://h?x", "query"}, {"http://h:0", "invalid port"}, {"http://h:x", "is not http://HOST:PORT"}, {"", "is not http://HOST:PORT"}, {"http://h:99999", "invalid port"},
		{"h\n", "is not http://HOST:PORT"},
	} {
		var e Exporter
		if err := e.endpoint(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

// TestHeaders checks that the value of a header cannot add lines to requests.
func TestHeaders(t *testing.T) {
	for _, text := range []string{"=x", "a b=c", "a:b=c", "a=b%0d%0aHost: c", "a=b%0ac"} {
		getenv := func(name string) string {
			if name == "OTEL_EXPORTER_OTLP_HEADERS" {
				return text
			}
			return ""
		}
		e, err := Start(Config{Endpoint: "h", Metrics: &metrics.Collector{}, Getenv: getenv, Interval: time.Hour})
		if err == nil || !strings.Contains(err.Error(), "invalid header") {
			t.Errorf("%q: %v", text, err)
		}
		if e != nil {
			e.Close()
		}
	}
}
