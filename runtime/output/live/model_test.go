package live

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// words fills a model with two snapshots of a map of counters.
func words(m *model) {
	m.update(start.Add(1*time.Second), []output.Map{counters("@", map[string]uint64{"a": 10, "b": 20, "other": 7})}, nil)
	m.update(start.Add(3*time.Second), []output.Map{counters("@", map[string]uint64{"a": 50, "b": 21, "dd": 5, "other": 7})}, nil)
}

// hists fills a model with two snapshots of a histogram.
func hists(m *model) {
	one := func(name string, h value.Hist) output.Map {
		return output.Map{Name: name, Metric: value.Histogram, Entries: []value.Entry{{Value: h}}}
	}
	m.update(start.Add(1*time.Second), []output.Map{one("@h", hist(1, 0, 4))}, nil)
	m.update(start.Add(2*time.Second), []output.Map{one("@h", hist(3, 0, 104))}, nil)
}

// stacks fills a model with counters of stacks.
func stacks(m *model) {
	m.update(start, []output.Map{{Name: "@s", Keyed: true, Metric: value.Counter, Entries: []value.Entry{
		{Key: value.Tuple{stack("leaf", "middle", "main"), value.Int(7)}, Value: value.Uint(2)},
		{Key: value.Tuple{stack("other"), value.Int(8)}, Value: value.Uint(3)},
	}}}, nil)
}

// lines fills a model with output.
func lines(m *model) {
	for i := range 12 {
		fmt.Fprintf(m.out.src, "line %d\n", i)
	}
}

// screens are what is on a screen of a size after keys.
var screens = []struct {
	name, keys string
	w, h       int
	fill       func(m *model)
	want       string
}{
	{"a table by value, with rates", "", 60, 8, words, `
[@] output                                          03:04:08
valuev  per s history     key
    50     20 ▁█          a
    21    0.5 ▁█          b
     7      0 ▁▁          other
     5    2.5             dd

q quit  ? help  tab next  f filter  s sort  enter more
`},
	{"by rate", "r", 60, 7, words, `
[@] output                                          03:04:08
 value per sv history     key
    50     20 ▁█          a
     5    2.5             dd
    21    0.5 ▁█          b
     7      0 ▁▁          other
q quit  ? help  tab next  f filter  s sort  enter more
`},
	{"by rate from the start", "", 60, 5, func(m *model) { m.byRate = true; words(m) }, `
[@] output                                          03:04:08
 value per sv history     key
    50     20 ▁█          a
     5    2.5             dd
q quit  ? help  tab next  f filter  s sort  enter more
`},
	{"by key, upwards and downwards", "ssi", 30, 7, words, `
[@] output            03:04:08
 value  per s keyv
     7      0 other
     5    2.5 dd
    21    0.5 b
    50     20 a
q quit  ? help  tab next
`},
	{"filtered, without regard to capitals", "fO\x7fot", 60, 6, words, `
[@] output                                          03:04:08
valuev  per s history     key               1 of 4 with "ot"
     7      0 ▁▁          other


filter: ot_
`},
	{"escape ends a filter", "fot\x1b", 30, 7, words, `
[@] output            03:04:08
valuev  per s key
    50     20 a
    21    0.5 b
     7      0 other
     5    2.5 dd
q quit  ? help  tab next
`},
	{"nothing matches", "fzz\r", 60, 5, words, `
[@] output                                          03:04:08
valuev  per s history     key               0 of 4 with "zz"
  (nothing matches the filter)

q quit  ? help  tab next  f filter  s sort  enter more
`},
	{"the bars of a histogram", "", 40, 7, hists, `
[@h] output                     03:04:07
samplesv  per s
     107    102
  [1, 2)   3 ▊
  [2, 4)   0
  [4, 8) 104 ██████████████████████████
q quit  ? help  tab next  f filter
`},
	{"its heatmap", "t", 44, 8, hists, `
[@h] output                         03:04:07
samplesv  per s
     107    102
  [1, 2)|░░
  [2, 4)|
  [4, 8)|░█
         2 snapshots to 03:04:07; at most 1~
q quit  ? help  tab next  f filter  s sort
`},
	{"folded stacks", "", 60, 5, stacks, `
[@s] output                                         03:04:05
valuev  per s history     key 1             key 2
     3      0             other             8
     2      0             leaf < middle < ~ 7
q quit  ? help  tab next  f filter  s sort  enter more
`},
	{"an expanded stack", down + "\r" + down, 40, 9, stacks, `
[@s] output                     03:04:05
valuev  per s key 1         key 2
     3      0 other         8
     2      0 leaf < middl~ 7
  leaf+0
  middle+1
  main+2
  7
q quit  ? help  tab next  f filter
`},
	{"a narrow screen", "", 20, 5, stacks, `
[@s] output
valuev key 1  key 2
     3 other  8
     2 leaf ~ 7
q quit  ? help
`},
	{"the end of the output", "", 20, 5, lines, `
[output]
line 9
line 10
line 11
q quit  ? help
`},
	{"scrolled", home + down, 20, 5, lines, `
[output]
line 1
line 2
line 3
q quit  ? help
`},
	{"searched upwards", "/line 4\r", 20, 5, lines, `
[output]
line 4
line 5
line 6
q quit  ? help
`},
	{"search again", "/1\rN", 20, 5, lines, `
[output]
line 9
line 10
line 11
q quit  ? help
`},
	{"filtered output", "f1\r", 20, 5, lines, `
[output]
line 1
line 10
line 11
q quit  ? help
`},
	{"a part of the screen for the output", "", 44, 12, func(m *model) { words(m); lines(m) }, `
[@] output                          03:04:08
valuev  per s key
    50     20 a
    21    0.5 b
     7      0 other
     5    2.5 dd

output ─────────────────────────────────────
line 9
line 10
line 11
q quit  ? help  tab next  f filter  s sort
`},
	{"warnings", "", 44, 6, func(m *model) {
		words(m)
		m.messages.Write([]byte("WARNING: first\nstdin:1:1-2: WARNING: second\n\x1b[2Jx\n"))
	}, `
[@] output                          03:04:08
valuev  per s key
    50     20 a
    21    0.5 b
stdin:1:1-2: WARNING: second
q quit  ? help  tab next  f filter  s sort
`},
	{"paused", " ", 44, 4, words, `
[@] output                            PAUSED
valuev  per s key
    50     20 a
q quit  ? help  tab next  f filter  s sort
`},
	{"hostile and wide keys", "", 44, 7, func(m *model) {
		m.update(start, []output.Map{{Name: "@", Keyed: true, Metric: value.Gauge, Entries: []value.Entry{
			{Key: str("\x1b]0;owned\a\x1b[2J"), Value: value.Int(4)},
			{Key: str("日本語 e\u0301 \xff"), Value: value.Int(3)},
			{Key: str("a\u202eb\u009bc\nd"), Value: value.Int(2)},
			{Key: value.Bytes("\x00\x1b"), Value: value.Int(1)},
		}}}, nil)
	}, `
[@] output                          03:04:05
valuev history    key
     4            \x1b]0;owned\x07\x1b[2J
     3            日本語 é \xff
     2            a\u202eb\u009bc\nd
     1            \x00\x1b
q quit  ? help  tab next  f filter  s sort
`},
	{"values that are text", "", 44, 4, func(m *model) {
		m.update(start, []output.Map{{Name: "@", Keyed: true, Entries: []value.Entry{{Key: value.Int(1), Value: str("x\ty")}}}}, nil)
	}, `
[@] output                          03:04:05
key^ value
1    x\ty
q quit  ? help  tab next  f filter  s sort
`},
	{"only the greatest entries", "", 50, 4, func(m *model) {
		om := counters("@", map[string]uint64{"a": 3})
		om.More = 99
		m.update(start, []output.Map{om}, nil)
	}, `
[@] output                                03:04:05
valuev  per s history    key the greatest 1 of 100
     3      0            a
q quit  ? help  tab next  f filter  s sort
`},
}

// TestModel checks what is on the screen after keys.
func TestModel(t *testing.T) {
	for _, c := range screens {
		t.Run(c.name, func(t *testing.T) {
			m := newTest(c.w, c.h)
			c.fill(m)
			press(m, c.keys)
			if d := cmp.Diff(strings.TrimPrefix(c.want, "\n"), m.draw().String()); d != "" {
				t.Error(d)
			}
		})
	}
}
