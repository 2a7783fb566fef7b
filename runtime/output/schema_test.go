package output

import (
	"bytes"
	"testing"
	"time"

	"github.com/gotrace/gotrace/runtime/value"
	"github.com/gotrace/gotrace/tests/schema"
)

// TestSchema writes every kind of value in every place, and every other kind of line, and
// checks the lines against the published schema.
func TestSchema(t *testing.T) {
	values := []value.Value{
		value.Int(-1), value.Int(1<<53 + 1), value.Uint(1<<64 - 1), value.Wide{Hi: 1, Lo: 1}, value.Wide{Hi: -1}, value.Ptr(1), value.Bool(true),
		str("x\xff\x00\"<"), value.Str{S: "cut", Truncated: true}, value.Bytes("a\xff"), value.Bytes(""), value.Enum{Name: "A", V: 1}, value.Tuple{value.Int(1), value.Tuple{str("x")}},
		value.Array{value.Uint(1)}, value.Array{}, value.Record{{Name: "x", V: value.Int(1)}}, value.Record{}, value.Null{}, nil,
		buckets(), linear(), value.Hist{}, value.Avg{V: value.Int(3)}, value.Avg{V: value.Wide{Hi: 1, Lo: 1}},
		value.Stats{Count: 2, Avg: value.Int(3), Total: value.Int(7)}, value.Stats{Count: 1<<53 + 1, Avg: value.Wide{Lo: 1, Hi: 1}, Total: value.Wide{Lo: 1, Hi: 2}},
		series(t, value.Int(1), nil, value.Avg{V: value.Int(2)}), value.Series{}, value.Stack{}, value.Stack{Missing: "x", Frames: []value.Frame{{Name: "f"}}},
	}
	var b bytes.Buffer
	j := NewJSON(NewWriter(&b, None), Style{Trailer: ".."})
	for _, v := range values {
		j.Value(v)
		for _, div := range []int64{0, 3} {
			j.Map(Map{Name: "@", Entries: []value.Entry{{Value: v}}, Div: div})
			j.Map(Map{Name: "@k", Keyed: true, Entries: []value.Entry{{Key: str("a"), Value: v}, {Key: value.Tuple{str("b,"), str("c")}, Value: v}}, Div: div})
		}
		j.Map(Map{Name: "@e", Zero: v})
		j.Map(Map{Name: "@ke", Keyed: true, Zero: v})
		j.Map(Map{Name: "@key", Keyed: true, Entries: []value.Entry{{Key: v, Value: value.Int(1)}}})
	}
	for _, kind := range []string{"printf", "time", "join", "cat", "syscall"} {
		j.Printf(kind, "\xff\n")
		j.Line(kind, "")
	}
	j.Attached(3)
	j.Lost(4)
	for _, kind := range []string{"errorf", "warnf", "runtime_error", "audit"} {
		j.Message(Message{Kind: kind, Text: "x"})
	}
	j.Message(Message{Kind: "helper_error", Helper: "probe_read", Code: -14})
	j.Alert(Alert{Time: time.Unix(1, 2), Priority: "High", Text: "x\n"})
	j.Tests([]TestResult{{Name: "a", Passed: true, Ns: 5, Output: "x"}})
	j.Benchmarks([]BenchResult{{Name: "b", Ns: 1, Iters: 2}})
	if err := schema.Results(b.Bytes()); err != nil {
		t.Error(err)
	}
}

// TestSchemaRefuses checks that the schema does not accept anything else.
func TestSchemaRefuses(t *testing.T) {
	for _, line := range []string{
		`{}`, `[]`, `{"type": "other", "data": 1}`, `{"type": "printf", "data": 1}`, `{"type": "printf", "data": "x", "more": 1}`, `{"type": "value"}`,
		`{"type": "map", "data": {"x": 1}}`, `{"type": "map", "data": {}}`, `{"type": "map", "data": {"@a": 1, "@b": 2}}`, `{"type": "map", "data": {"@a": 1.5}}`,
		`{"type": "hist", "data": {"@": [{"min": 1}]}}`, `{"type": "hist", "data": {"@": [{"count": -1}]}}`, `{"type": "stats", "data": {"@": {"k": {"count": 1}}}}`, `{"type": "stats", "data": {"@": "x"}}`,
		`{"type": "tseries", "data": {"@": [{"interval_start": "x", "value": 1}]}}`, `{"type": "attached_probes", "data": {"probes": 1}}`, `{"type": "lost_events", "count": -1, "data": {"events": -1}}`,
		`{"type": "errorf", "msg": "x"}`, `{"type": "helper_error", "msg": "x", "helper": "x", "filename": "", "line": 0, "col": 0}`,
		`{"type": "alert", "data": {"time": "now", "priority": "x", "output": "x"}}`, `{"type": "test_result", "data": {"a": {"passed": true}}}`, `{"type": "printf", "data": "x"} {}`,
	} {
		if schema.Results([]byte(line)) == nil {
			t.Errorf("the schema accepts %s", line)
		}
	}
}
