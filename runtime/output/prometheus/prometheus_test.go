package prometheus

import (
	"bytes"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/metrics"
	"github.com/gotrace/gotrace/runtime/value"
)

func hist(linear bool, buckets ...value.Bucket) value.Hist {
	return value.Hist{Linear: linear, Buckets: buckets}
}

// samples has a map of each kind, with values that are hard to write.
func samples() []output.Map {
	entry := func(k, v value.Value) value.Entry { return value.Entry{Key: k, Value: v} }
	str := func(s string) value.Str { return value.Str{S: s} }
	return []output.Map{
		{Name: "@", Metric: value.Counter, Entries: []value.Entry{entry(nil, value.Uint(math.MaxUint64))}},
		{Name: "@reads", Metric: value.Counter, KeyNames: []string{"comm", "pid"}, Entries: []value.Entry{
			entry(value.Tuple{str("a\"b\\c\nd"), value.Int(-1)}, value.Uint(7)),
			entry(value.Tuple{str("\xff\x00é"), value.Int(2)}, value.Wide{Hi: 1}),
		}},
		{Name: "@signed", Metric: value.Gauge, Entries: []value.Entry{entry(nil, value.Int(math.MinInt64))}},
		{Name: "@avg", Metric: value.Gauge, Entries: []value.Entry{entry(value.Bool(true), value.Avg{V: value.Int(-3)})}},
		{Name: "@text", Metric: value.Other, Entries: []value.Entry{entry(nil, str("x"))}},
		{Name: "@h", Metric: value.Histogram, Entries: []value.Entry{
			entry(value.Int(1), hist(false,
				value.Bucket{MinInf: true, Max: -1, Count: 5}, value.Bucket{Count: 2},
				value.Bucket{Min: 1, Max: 1, Count: 3}, value.Bucket{Min: 2, Max: 3, Unsigned: true, Count: 4})),
			entry(value.Int(2), hist(false,
				value.Bucket{Min: math.MinInt64, Max: -1, Unsigned: true, Count: 6})),
		}},
		{Name: "@lin", Metric: value.Histogram, Entries: []value.Entry{entry(nil, hist(true,
			value.Bucket{MinInf: true, Max: 99, Count: 1}, value.Bucket{Min: 100, Max: 199, Count: 2},
			value.Bucket{Min: 200, MaxInf: true, Count: 3}))}},
		{Name: "@st", Metric: value.Summary, Entries: []value.Entry{entry(str(""), value.Stats{Count: 3, Avg: value.Int(4), Total: value.Int(12)})}},
		{Name: "@q", Metric: value.Quantiles, KeyNames: []string{"quantile"}, Entries: []value.Entry{entry(value.Int(1), value.Record{
			{Name: "p99.9", V: value.Int(9)}, {Name: "p50", V: value.Int(-5)}, {Name: "count", V: value.Int(100)}})}},
	}
}

func collect(maps []output.Map) []metrics.Family {
	var c metrics.Collector
	c.Add(&metrics.Source{Maps: func() ([]output.Map, error) { return maps, nil }})
	return c.Collect()
}

// TestText checks that Prometheus's own reader reads the text format, with the same
// results as from protocol buffers except for values that only these have.
func TestText(t *testing.T) {
	fs := collect(samples())
	fromText, err := parser().TextToMetricFamilies(bytes.NewReader(AppendText(nil, fs)))
	if err != nil {
		t.Fatal(err)
	}
	fromProto := decodeProto(t, AppendProto(nil, fs))
	for _, m := range fromProto {
		for _, m := range m.Metric {
			if h := m.Histogram; h != nil {
				h.Schema, h.ZeroThreshold, h.ZeroCount, h.CreatedTimestamp, h.SampleSum = nil, nil, nil, nil, nil
				h.NegativeSpan, h.NegativeDelta, h.PositiveSpan, h.PositiveDelta = nil, nil, nil, nil
			}
			if m.Counter != nil {
				m.Counter.CreatedTimestamp = nil
			}
			if s := m.Summary; s != nil {
				s.CreatedTimestamp = nil
				if math.IsNaN(s.GetSampleSum()) {
					s.SampleSum = nil
				}
			}
		}
	}
	if diff := cmp.Diff(fromText, fromProto, protocmp.Transform()); diff != "" {
		t.Errorf("text and protocol buffers differ:\n%s", diff)
	}
	if len(fromText) < 10 {
		t.Errorf("only %d metrics", len(fromText))
	}
}

func parser() *expfmt.TextParser {
	p := expfmt.NewTextParser(model.LegacyValidation)
	return &p
}

func decodeProto(t *testing.T, data []byte) map[string]*dto.MetricFamily {
	t.Helper()
	dec := expfmt.NewDecoder(bytes.NewReader(data), expfmt.NewFormat(expfmt.TypeProtoDelim))
	list := map[string]*dto.MetricFamily{}
	for {
		var f dto.MetricFamily
		if err := dec.Decode(&f); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list[f.GetName()] = &f
	}
}

// TestNative checks the buckets of native histograms.
func TestNative(t *testing.T) {
	fs := decodeProto(t, AppendProto(nil, collect(samples())))
	h := fs["gotrace_h"].Metric[1].Histogram // the entries are in falling order
	type native struct {
		schema      int32
		zero        uint64
		neg, pos    []int32 // offset and length of each span
		negN, posN  []int64
		sum, number float64
	}
	spans := func(list []*dto.BucketSpan) (out []int32) {
		for _, s := range list {
			out = append(out, s.GetOffset(), int32(s.GetLength()))
		}
		return out
	}
	got := native{h.GetSchema(), h.GetZeroCount(), spans(h.NegativeSpan), spans(h.PositiveSpan), h.NegativeDelta, h.PositiveDelta, 0, float64(h.GetSampleCount())}
	want := native{0, 2, []int32{1025, 1}, []int32{0, 3}, []int64{5}, []int64{3, -3, 4}, 0, 14}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(native{})); diff != "" {
		t.Error(diff)
	}
	if h := fs["gotrace_h"].Metric[0].Histogram; h.PositiveSpan[0].GetOffset() != 64 {
		t.Errorf("the last bucket is number %d, want 64", h.PositiveSpan[0].GetOffset())
	}
	if fs["gotrace_lin"].Metric[0].Histogram.Schema != nil {
		t.Error("a linear histogram has a schema")
	}
	if !math.IsNaN(h.GetSampleSum()) {
		t.Error("the sum is known")
	}
}

// TestOpenMetrics checks the differences from the text format.
func TestOpenMetrics(t *testing.T) {
	out := string(AppendOpenMetrics(nil, collect(samples())))
	for _, want := range []string{
		"# TYPE gotrace_reads counter\n", "\ngotrace_reads_total{comm=\"a\\\"b\\\\c\\nd\",pid=\"-1\"} 7\ngotrace_reads_created{",
		"gotrace_reads_total{comm=\"\uFFFDff\x00é\",pid=\"2\"} 1.8446744073709552e+19\n",
		"gotrace_h_bucket{key0=\"1\",le=\"-1.0\"} 5\n", "gotrace_h_bucket{key0=\"1\",le=\"+Inf\"} 14\n",
		"gotrace_q{quantile_2=\"1\",quantile=\"0.999\"} 9\n", "gotrace_signed -9223372036854775808\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if !strings.HasSuffix(out, "\n# EOF\n") || strings.Contains(out, "gotrace_h_count") || strings.Contains(out, "NaN") {
		t.Errorf("invalid:\n%s", out)
	}
}

func TestNegotiate(t *testing.T) {
	const delimited = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	for accept, want := range map[string]Format{
		"":    text,
		"*/*": text,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8":                     text,
		"application/openmetrics-text":                                                        openMetrics,
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": text,
		delimited: proto,
		delimited + ";q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1": proto,
		"application/openmetrics-text;version=1.0.0;q=0.6," + delimited + ";q=0.5,text/plain;version=0.0.4;q=0.2":      text,
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text":                        text,
		"application/vnd.google.protobuf;proto=some.Other;encoding=delimited":                                          text,
		delimited + ";q=0":              text,
		"application/json":              text,
		";;,=;q=x,\"":                   text,
		"APPLICATION/OPENMETRICS-TEXT ": openMetrics,
	} {
		if got := Negotiate(accept); got.ContentType != want.ContentType {
			t.Errorf("%q: %s, want %s", accept, got.ContentType, want.ContentType)
		}
	}
}

// TestServer checks the answers before a script runs, while it runs and after its end.
func TestServer(t *testing.T) {
	var c metrics.Collector
	s, err := Listen("127.0.0.1:0", &c)
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) string {
		conn, err := net.DialTimeout("tcp", s.Addr().String(), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "GET "+path+" HTTP/1.0\r\n\r\n")
		answer, err := io.ReadAll(conn)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	if a := get("/metrics"); !strings.HasPrefix(a, "HTTP/1.1 503 ") || !strings.Contains(a, "Retry-After: 1\r\n") {
		t.Errorf("before: %q", a)
	}
	if a := get("/healthz"); !strings.HasPrefix(a, "HTTP/1.1 200 ") {
		t.Errorf("/healthz: %q", a)
	}
	if a := get("/x"); !strings.HasPrefix(a, "HTTP/1.1 404 ") {
		t.Errorf("/x: %q", a)
	}
	c.Add(&metrics.Source{Maps: func() ([]output.Map, error) { return samples(), nil }})
	if a := get("/metrics?x=y"); !strings.Contains(a, "\ngotrace_signed -9223372036854775808\n") {
		t.Errorf("%q", a)
	}
	if _, err := Listen(s.Addr().String(), &c); err == nil || !strings.HasSuffix(err.Error(), ": address already in use") {
		t.Errorf("a taken port: %v", err)
	}
	s.Close()
	if _, err := net.DialTimeout("tcp", s.Addr().String(), time.Second); err == nil {
		t.Error("the closed server still listens")
	}
	for _, addr := range []string{"9464", "", "127.0.0.1", "1.2.3.4.5:1", "127.0.0.1:99999", "::1:80"} {
		if s, err := Listen(addr, &c); err == nil {
			t.Errorf("%q: it listens on %v", addr, s.Addr())
		}
	}
}
