package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/value"
)

func str(s string) value.Str { return value.Str{S: s} }

func buckets() value.Hist {
	return value.Hist{Buckets: []value.Bucket{
		{Min: 0, Max: 0, Label: "[0]", Count: 1},
		{Min: 1, Max: 1, Label: "[1]", Count: 0},
		{Min: 2, Max: 3, Label: "[2, 4)", Count: 2},
		{Min: 512, Max: 1023, Label: "[512, 1K)", Count: 1},
	}}
}

func linear() value.Hist {
	return value.Hist{Linear: true, Buckets: []value.Bucket{
		{MinInf: true, Max: -1, Label: "(..., 0)", Count: 1},
		{Min: 0, Max: 9, Label: "[0, 10)", Count: 3},
		{Min: 100, MaxInf: true, Label: "[100, ...)", Count: 2},
	}}
}

func series(t *testing.T, points ...value.Value) value.Series {
	loc := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = loc })
	s := value.Series{Interval: 1e8}
	start := time.Date(2026, 11, 22, 23, 29, 47, 9e8, time.UTC).UnixNano()
	for i, p := range points {
		s.Points = append(s.Points, value.Point{Start: start + int64(i)*1e8, V: p, Set: p != nil})
	}
	return s
}

// TestValues checks how the sinks for text and JSON show every kind of value.
func TestValues(t *testing.T) {
	for _, c := range []struct {
		v          value.Value
		text, json string
	}{
		{value.Int(-1), "-1", "-1"},
		{value.Int(9007199254740992), "9007199254740992", "9007199254740992"},
		{value.Int(9007199254740993), "9007199254740993", `"9007199254740993"`},
		{value.Int(-9223372036854775808), "-9223372036854775808", "-9223372036854775808"},
		{value.Int(9223372036854775807), "9223372036854775807", `"9223372036854775807"`},
		{value.Uint(18446744073709551615), "18446744073709551615", `"18446744073709551615"`},
		{value.Uint(1 << 63), "9223372036854775808", "9223372036854775808"},
		{value.Wide{Hi: 1, Lo: 0}, "18446744073709551616", "18446744073709551616"},
		{value.Wide{Hi: 1, Lo: 1}, "18446744073709551617", `"18446744073709551617"`},
		{value.Wide{Hi: -1, Lo: 5}, "-18446744073709551611", `"-18446744073709551611"`},
		{value.Wide{Hi: -1 << 63, Lo: 0}, "-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"},
		{value.Bool(true), "true", "true"},
		{value.Ptr(0xdeadbeef), "0xdeadbeef", "3735928559"},
		{value.Ptr(0), "0x0", "0"},
		{str("plain"), "plain", `"plain"`},
		{str("tab\tnl\nq\"bs\\ \x01 \xff é"), "tab\tnl\nq\"bs\\ \x01 \xff é", `"tab\tnl\nq\"bs\\ \u0001 �ff é"`},
		{value.Str{S: "cut", Truncated: true}, "cut..", `"cut.."`},
		{value.Bytes("ab\x01\xff\n\""), `ab\x01\xff\x0a"`, "[97,98,1,-1,10,34]"},
		{value.Enum{Name: "RED", V: 3}, "RED", "3"},
		{value.Enum{V: 7}, "7", "7"},
		{value.Tuple{value.Int(1), str("two"), value.Tuple{value.Int(3), value.Int(4)}}, "(1, two, (3, 4))", `[1,"two",[3,4]]`},
		{value.Tuple{value.Int(1)}, "(1)", "[1]"},
		{value.Array{value.Uint(1), value.Uint(2)}, "[1,2]", "[1,2]"},
		{value.Record{{Name: "x", V: value.Int(1)}, {Name: "y", V: str("s")}}, "{ .x = 1, .y = s }", `{"x": 1, "y": "s"}`},
		{value.Record{}, "{}", "{}"},
		{value.Null{}, "null", "null"},
		{nil, "null", "null"},
		{value.Stats{Count: 2, Avg: value.Int(3), Total: value.Int(7)}, "{ .count = 2, .average = 3, .total = 7 }", `{"count": 2, "average": 3, "total": 7}`},
		{value.Avg{V: value.Int(-3)}, "-3", "-3"},
		{value.Stack{Frames: []value.Frame{{Name: "foo", Offset: 1}, {Name: "bar", Offset: 2}}}, "\n        foo+1\n        bar+2\n", `"\n        foo+1\n        bar+2\n"`},
		{value.Stack{Mode: "perf", Frames: []value.Frame{{Addr: 1, Name: "f", Module: "/bin/x"}}}, "\n\t1 f+0 (/bin/x)\n", `"\n\t1 f+0 (/bin/x)\n"`},
		{value.Stack{Mode: "raw", Frames: []value.Frame{{Addr: 0x55bc, Name: "f"}}}, "\n55bc\n", `"\n55bc\n"`},
		{value.Stack{Missing: "too deep", Frames: []value.Frame{{Name: "foo", Offset: 1}}}, "\n        foo+1\n        [incomplete: too deep]\n", `"\n        foo+1\n        [incomplete: too deep]\n"`},
		{value.Stack{Missing: "not a user thread", Mode: "perf"}, "\n\t[not a user thread]\n", `"\n\t[not a user thread]\n"`},
		{value.Tuple{value.Int(1), value.Stack{}}, "(1, \n)", `[1,"\n"]`},
	} {
		if got := value.Text(c.v, ".."); got != c.text {
			t.Errorf("text of %#v is %q, want %q", c.v, got, c.text)
		}
		got := string(appendJSON(nil, c.v, ".."))
		if got != c.json {
			t.Errorf("JSON of %#v is %s, want %s", c.v, got, c.json)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("not JSON: %s", got)
		}
	}
}

// both runs f with a sink of each format and returns the outputs.
func both(f func(s Sink), opt Style) (text, errs, js string) {
	var out, err, j bytes.Buffer
	opt.Trailer = ".."
	f(NewText(NewWriter(&out, None), &err, opt))
	f(NewJSON(NewWriter(&j, None), opt))
	return out.String(), err.String(), j.String()
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

func TestMaps(t *testing.T) {
	key := func(vs ...value.Value) value.Value { return value.Tuple(vs) }
	for _, c := range []struct {
		m          Map
		text, json string
	}{
		{
			Map{Name: "@i", Entries: []value.Entry{{Value: value.Int(5)}}},
			"@i: 5\n",
			`{"type": "map", "data": {"@i": 5}}`,
		}, {
			Map{Name: "@s", Keyed: true, Entries: []value.Entry{{Key: str("a b"), Value: str("x")}, {Key: str("(c)"), Value: str("y")}}},
			"@s[a b]: x\n@s[(c)]: y\n",
			`{"type": "map", "data": {"@s": {"a b": "x", "(c)": "y"}}}`,
		}, {
			Map{Name: "@t", Keyed: true, Entries: []value.Entry{{Key: key(value.Int(1), str("q r"), key(value.Int(2), value.Bool(true))), Value: key(value.Int(1), value.Int(2))}}},
			"@t[1, q r, (2, true)]: (1, 2)\n",
			`{"type": "map", "data": {"@t": {"1,q r,(2,true)": [1,2]}}}`,
		}, {
			Map{Name: "@r", Keyed: true, Entries: []value.Entry{{Key: value.Record{{Name: "a", V: value.Int(1)}, {Name: "b", V: value.Int(2)}}, Value: value.Ptr(5)}}},
			"@r[{ .a = 1, .b = 2 }]: 0x5\n",
			`{"type": "map", "data": {"@r": {"{.a=1,.b=2}": 5}}}`,
		}, {
			Map{Name: "@k", Keyed: true, Entries: []value.Entry{{Key: value.Stack{Frames: []value.Frame{{Name: "f", Offset: 1}}}, Value: value.Uint(1)}}},
			"@k[\n        f+1\n]: 1\n",
			`{"type": "map", "data": {"@k": {"\nf+1\n": 1}}}`,
		}, {
			Map{Name: "@a", Keyed: true, Entries: []value.Entry{{Key: value.Int(1), Value: value.Avg{V: value.Int(21)}}}, Div: 10},
			"@a[1]: 2\n",
			`{"type": "stats", "data": {"@a": {"1": 2}}}`,
		}, {
			Map{Name: "@st", Entries: []value.Entry{{Value: value.Stats{Count: 2, Avg: value.Int(30), Total: value.Int(60)}}}, Div: 10},
			"@st: { .count = 2, .average = 3, .total = 60 }\n",
			`{"type": "stats", "data": {"@st": {"count": 2, "average": 3, "total": 60}}}`,
		}, {
			Map{Name: "@h", Entries: []value.Entry{{Value: buckets()}}},
			"@h:\n" +
				"[0]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n" +
				"[1]                    0 |                                                    |\n" +
				"[2, 4)                 2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n" +
				"[512, 1K)              1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n\n",
			`{"type": "hist", "data": {"@h": [{"min": 0, "max": 0, "count": 1},{"min": 1, "max": 1, "count": 0},{"min": 2, "max": 3, "count": 2},{"min": 512, "max": 1023, "count": 1}]}}`,
		}, {
			Map{Name: "@l", Keyed: true, Entries: []value.Entry{{Key: str("k"), Value: linear()}}, Div: 2},
			"@l[k]:\n" +
				"(..., 0)               1 |@@@@@@@@@@@@@@@@@                                   |\n" +
				"[0, 10)                3 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n" +
				"[100, ...)             2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@                  |\n\n",
			`{"type": "hist", "data": {"@l": {"k": [{"max": -1, "count": 1},{"min": 0, "max": 9, "count": 3},{"min": 100, "count": 2}]}}}`,
		}, {
			Map{Name: "@z", Entries: []value.Entry{{Value: value.Hist{}}}},
			"@z:\n\n",
			`{"type": "hist", "data": {"@z": []}}`,
		}, {
			Map{Name: "@", Entries: []value.Entry{{Value: series(t, value.Uint(0), nil, nil, value.Uint(3))}}},
			"@:\n" +
				"             0                                                   3\n" +
				"hh:mm:ss.ms  |___________________________________________________|\n" +
				"23:29:47.900 *                                                   | 0\n" +
				"23:29:48.000 |                                                   | -\n" +
				"23:29:48.100 |                                                   | -\n" +
				"23:29:48.200 |                                                   * 3\n" +
				"             v___________________________________________________v\n" +
				"             0                                                   3\n\n",
			`{"type": "tseries", "data": {"@": [{"interval_start":"2026-11-22 23:29:47.900000000","value":0},{"interval_start":"2026-11-22 23:29:48.200000000","value":3}]}}`,
		},
	} {
		text, errs, js := both(func(s Sink) { s.Map(c.m) }, Style{})
		check(t, "text", text, c.text)
		check(t, "stderr", errs, "")
		check(t, "JSON", js, c.json+"\n")
	}
}

func TestEvents(t *testing.T) {
	f := source.NewFile("stdin", "begin { errorf(\"x\"); $a = 1/0 }")
	text, errs, js := both(func(s Sink) {
		s.Attached(1)
		s.Attached(2)
		s.Printf("printf", "a\"b\n")
		s.Printf("time", "23")
		s.Value(value.Tuple{value.Int(1), str("x")})
		s.Message(Message{Kind: "errorf", Level: Error, Text: "bad\n", At: source.Span{File: f, Start: 8, End: 19}})
		s.Message(Message{Kind: "warnf", Level: Warning, Text: "odd", At: source.Span{File: f, Start: 8, End: 19}})
		s.Message(Message{Kind: "runtime_error", Text: "division", At: source.Span{File: f, Start: 26, End: 29}})
		s.Message(Message{Kind: "helper_error", Text: "full", At: source.Span{File: f, Start: 21, End: 23}, Helper: "map_update_elem", Code: -7})
		s.Lost(7)
		s.End()
	}, Style{})
	check(t, "text", text, "a\"b\n23(1, x)\n\n\n")
	check(t, "stderr", errs, `Attached 1 probe
Attached 2 probes
stdin:1:9-20: ERROR: bad
stdin:1:9-20: WARNING: odd
stdin:1:27-30: WARNING: division
begin { errorf("x"); $a = 1/0 }
                          ~~~
stdin:1:22-24: WARNING: full
Additional Info - helper: map_update_elem, retcode: -7
begin { errorf("x"); $a = 1/0 }
                     ~~
Lost 7 events
`)
	check(t, "JSON", js, `{"type": "attached_probes", "count": 1, "data": {"probes": 1}}
{"type": "attached_probes", "count": 2, "data": {"probes": 2}}
{"type": "printf", "data": "a\"b\n"}
{"type": "time", "data": "23"}
{"type": "value", "data": [1,"x"]}
{"type": "errorf", "msg": "bad\n", "filename": "stdin", "line": 1, "col": 9}
{"type": "warnf", "msg": "odd", "filename": "stdin", "line": 1, "col": 9}
{"type": "runtime_error", "msg": "division", "filename": "stdin", "line": 1, "col": 27}
{"type": "helper_error", "msg": "full", "helper": "map_update_elem", "retcode": -7, "filename": "stdin", "line": 1, "col": 22}
{"type": "lost_events", "count": 7, "data": {"events": 7}}
`)
}

func TestQuiet(t *testing.T) {
	text, errs, js := both(func(s Sink) {
		s.Attached(3)
		s.Message(Message{Kind: "warnf", Level: Warning, Text: "odd"})
		s.Message(Message{Kind: "errorf", Level: Error, Text: "bad"})
	}, Style{Quiet: true, NoWarnings: true})
	check(t, "text", text, "")
	check(t, "stderr", errs, "gotrace: ERROR: bad\n")
	check(t, "JSON", js, `{"type": "errorf", "msg": "bad", "filename": "", "line": 0, "col": 0}`+"\n")
}

func TestTestsAndBenchmarks(t *testing.T) {
	text, _, js := both(func(s Sink) {
		s.Tests([]TestResult{{Name: "good", Passed: true, Ns: 5, Output: "fine\n"}, {Name: "bad", Ns: 6, Output: "said\n"}})
		s.Benchmarks([]BenchResult{{Name: "b", Ns: 28, Iters: 40000}})
	}, Style{})
	check(t, "text", text, `[==========] Running 2 tests.
[ RUN      ] good
[       OK ] good (5 ns)
[ RUN      ] bad
said
[  FAILED  ] bad (6 ns)
[==========] 2 tests ran.
[  PASSED  ] 1 test.
[  FAILED  ] 1 test, listed below:
[  FAILED  ] bad
Benchmark                                Time(ns)       Iterations
------------------------------------------------------------------
b                                        28             40000
`)
	check(t, "JSON", js, `{"type": "test_result", "data": {"good": {"duration": 5, "passed": true, "output": "fine\n"}}}
{"type": "test_result", "data": {"bad": {"duration": 6, "passed": false, "output": "said\n"}}}
{"type": "benchmark_result", "data": {"b": {"average": 28, "iters": 40000}}}
`)
}

// counting records the size of each write to the destination.
type counting struct{ writes []int }

func (c *counting) Write(p []byte) (int, error) {
	c.writes = append(c.writes, len(p))
	return len(p), nil
}

func TestBuffering(t *testing.T) {
	for _, c := range []struct {
		mode              Mode
		before, idle, end int // number of writes that have arrived
	}{{None, 2, 2, 2}, {Line, 0, 1, 1}, {Full, 0, 0, 1}} {
		var dst counting
		w := NewWriter(&dst, c.mode)
		io := []byte("line\n")
		w.Write(io)
		w.Write(io)
		if len(dst.writes) != c.before {
			t.Errorf("mode %d: %d writes at once, want %d", c.mode, len(dst.writes), c.before)
		}
		w.Idle()
		if len(dst.writes) != c.idle {
			t.Errorf("mode %d: %d writes when idle, want %d", c.mode, len(dst.writes), c.idle)
		}
		w.Flush()
		if len(dst.writes) != c.end {
			t.Errorf("mode %d: %d writes at the end, want %d", c.mode, len(dst.writes), c.end)
		}
	}
	var dst counting
	w := NewWriter(&dst, Full)
	w.Write([]byte(strings.Repeat("x", bufferSize)))
	if len(dst.writes) != 1 {
		t.Error("a full buffer stays")
	}
}

// FuzzSeries checks that a graph of any numbers is printed without harm.
func FuzzSeries(f *testing.F) {
	f.Add(int64(0), int64(0), int64(1), false)
	f.Add(int64(-1<<63), int64(1<<63-1), int64(1), true)
	f.Fuzz(func(t *testing.T, a, b, interval int64, unsigned bool) {
		s := value.Series{Interval: interval}
		for _, n := range []int64{a, b} {
			var v value.Value = value.Int(n)
			if unsigned {
				v = value.Uint(n)
			}
			s.Points = append(s.Points, value.Point{V: v, Set: true})
		}
		for line := range strings.Lines(value.Text(s, "")) {
			if len(line) > 130 {
				t.Errorf("long line %q", line)
			}
		}
	})
}

// TestJSONKeysDiffer checks that different keys of one type have different names.
func TestJSONKeysDiffer(t *testing.T) {
	str := func(s string) value.Value { return value.Str{S: s} }
	texts := []string{"", "a", ",", "a,b", "b", `"`, `"a"`, `"a,b"`, `\`, `\",`, `a"`, `",`, "(", ")", "(a", "a)", "a,", ",a", "\n", "[", "]", "{.x=", "}"}
	for name, key := range map[string]func(a, b string) value.Value{
		"pair":        func(a, b string) value.Value { return value.Tuple{str(a), str(b)} },
		"nested":      func(a, b string) value.Value { return value.Tuple{str(a), value.Tuple{str(b), value.Int(1)}} },
		"nested left": func(a, b string) value.Value { return value.Tuple{value.Tuple{value.Int(1), str(a)}, str(b)} },
		"record":      func(a, b string) value.Value { return value.Record{{Name: "x", V: str(a)}, {Name: "y", V: str(b)}} },
		"array":       func(a, b string) value.Value { return value.Array{str(a), str(b)} },
		"in an array": func(a, b string) value.Value { return value.Tuple{value.Array{str(a), str(b)}, value.Int(2)} },
		"with number": func(a, b string) value.Value { return value.Tuple{str(a + b), value.Int(int64(len(a)))} },
	} {
		seen := map[string]string{}
		for _, a := range texts {
			for _, b := range texts {
				got, is := string(appendJSONKey(nil, key(a, b), "..")), fmt.Sprintf("%q, %q", a, b)
				if name == "with number" {
					is = fmt.Sprintf("%q, %d", a+b, len(a))
				}
				if old, dup := seen[got]; dup && old != is {
					t.Errorf("%s: %s and %s are both %s", name, old, is, got)
				}
				seen[got] = is
			}
		}
	}
	for want, key := range map[string]value.Value{
		"a,b":        str("a,b"),
		"a,b,1":      value.Tuple{str("a,b"), value.Int(1)},
		"a b,c":      value.Tuple{str("a b"), str("c")},
		`"a,b",c`:    value.Tuple{str("a,b"), str("c")},
		"1,(a,2)":    value.Tuple{value.Int(1), value.Tuple{str("a"), value.Int(2)}},
		"{.x=a}":     value.Record{{Name: "x", V: str("a")}},
		`he said "x`: str(`he said "x`),
	} {
		if got := string(appendJSONKey(nil, key, "..")); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestDividedWide checks that a wide integer that fits fewer bits after the
// division equals a value that was never wide.
func TestDividedWide(t *testing.T) {
	for _, c := range []struct {
		v    value.Wide
		div  int64
		want value.Value
	}{
		{value.Wide{Hi: 1}, 2, value.Uint(1 << 63)},
		{value.Wide{Hi: 1}, 4, value.Int(1 << 62)},
		{value.Wide{Hi: 8}, 2, value.Wide{Hi: 4}},
		{value.Wide{Hi: -1}, 2, value.Int(-1 << 63)},
		{value.Wide{Hi: -1, Lo: 1}, 2, value.Int(-1<<63 + 1)},
		{value.Wide{Hi: 0, Lo: 1 << 63}, -1, value.Int(-1 << 63)},
		{value.Wide{Hi: -4, Lo: 6}, 2, value.Wide{Hi: -2, Lo: 3}},
	} {
		if got := divided(c.v, c.div); got != c.want {
			t.Errorf("%v / %d = %#v, want %#v", c.v, c.div, got, c.want)
		}
	}
}

// TestJSONStringsDiffer checks that different strings stay different after they were
// written as JSON and read again.
func TestJSONStringsDiffer(t *testing.T) {
	seen := map[string]string{}
	parts := []string{"", "a", "\xff", "\xfe", "ÿ", "\xc3", "\xbf", "\ufffd", "ff", "\\", "\"", "\x00", `\xff`}
	for _, a := range parts {
		for _, b := range parts {
			for _, c := range parts {
				s := a + b + c
				var got string
				if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
					t.Fatalf("%q: %v", s, err)
				}
				if other, ok := seen[got]; ok && other != s {
					t.Errorf("%q and %q are both %q", s, other, got)
				}
				seen[got] = s
			}
		}
	}
}

// TestAlertLine prints alerts with values that have line ends: each is one line.
func TestAlertLine(t *testing.T) {
	for _, text := range []string{"a\n", "a\nb", "a\r\nb\n", "a\n1970-01-01T00:00:01Z: Alert b"} {
		var out bytes.Buffer
		s := NewText(NewWriter(&out, Line), &out, Style{})
		s.Alert(Alert{Time: time.Unix(1, 0), Priority: "Debug", Text: text})
		s.Flush()
		if got := out.String(); strings.Count(got, "\n") != 1 || strings.Contains(got, "\r") || !strings.HasPrefix(got, "1970-01-01T00:00:01") {
			t.Errorf("%q: %q", text, got)
		}
	}
}
