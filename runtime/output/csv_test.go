package output

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/runtime/value"
)

// clock is a clock that the test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// csvOutput is what TestCSV writes, with NOW for the time.
const csvOutput = `time,printf
NOW,"a,b"
NOW,"""c"""
NOW,no newline

time,time
NOW,12:00

time,value
NOW,-1

time,value1,value2
NOW,1,long..

time,x,y
NOW,1,"(2, 3)"

time,priority,alert
NOW,Error,one
1970-01-01T00:00:07.000Z,Error,two
1970-01-01T00:00:06.000Z,Error,three

time,printf
1970-01-01T00:00:05.000Z,before

time,map,value
NOW,@,5

time,printf
1970-01-01T00:00:05.000Z,before
NOW,now

time,map,value
NOW,@n,5

time,map,key,value
NOW,@k,"a
b",7
NOW,@k,,8

time,map,key1,key2,value
NOW,@m,a,1,4

time,map,key,count,average,total
NOW,@s,1,2,3,6

time,map,from,to,count
NOW,@h,0,0,1
NOW,@h,1,1,0
NOW,@h,2,3,2
NOW,@h,512,1023,1
NOW,@l,,-1,1
NOW,@l,0,9,3
NOW,@l,100,,2

time,map,key,start,value
NOW,@t,1,2026-11-22T23:29:47.900Z,4
NOW,@t,1,2026-11-22T23:29:48.000Z,
`

func TestCSV(t *testing.T) {
	at := &clock{time.Date(2026, 11, 29, 14, 2, 3, 4e6, time.FixedZone("", 3600))}
	const now = "2026-11-29T13:02:03.004Z"
	var out, messages bytes.Buffer
	c := NewCSV(NewWriter(&out, Line), &messages, Style{Trailer: ".."})
	c.now = at.Now
	c.Attached(2)
	c.Printf("printf", "a,b\n\"c\"\n")
	c.Printf("printf", "no newline")
	c.Line("time", "12:00")
	c.Value(value.Int(-1))
	c.Value(value.Tuple{value.Int(1), value.Str{S: "long", Truncated: true}})
	c.Value(value.Record{{Name: "x", V: value.Int(1)}, {Name: "y", V: value.Tuple{value.Int(2), value.Int(3)}}})
	c.Alert(Alert{Priority: "Error", Text: "one\n"})
	c.Alert(Alert{Priority: "Error", Text: "two\n", Time: time.Unix(7, 0)})
	c.Date(time.Unix(5, 0))
	c.Alert(Alert{Priority: "Error", Text: "three\n", Time: time.Unix(6, 0)})
	c.Printf("printf", "before")
	c.Map(Map{Name: "@", Entries: []value.Entry{{Value: value.Int(5)}}})
	c.Printf("printf", "before")
	c.Date(time.Time{})
	c.Printf("printf", "now")
	c.End()
	c.Map(Map{Name: "@n", Entries: []value.Entry{{Value: value.Int(5)}}})
	c.Map(Map{Name: "@empty", Keyed: true})
	c.Map(Map{Name: "@k", Keyed: true, Entries: []value.Entry{
		{Key: value.Str{S: "a\nb"}, Value: value.Uint(7)},
		{Key: value.Str{S: ""}, Value: value.Uint(8)},
	}})
	c.Map(Map{Name: "@m", Keyed: true, Div: 2, Entries: []value.Entry{
		{Key: value.Tuple{value.Str{S: "a"}, value.Int(1)}, Value: value.Int(8)},
	}})
	c.Map(Map{Name: "@s", Keyed: true, Entries: []value.Entry{
		{Key: value.Int(1), Value: value.Stats{Count: 2, Avg: value.Int(3), Total: value.Int(6)}},
	}})
	c.Map(Map{Name: "@h", Entries: []value.Entry{{Value: buckets()}}})
	c.Map(Map{Name: "@l", Entries: []value.Entry{{Value: linear()}}})
	c.Map(Map{Name: "@t", Keyed: true, Entries: []value.Entry{{Key: value.Int(1), Value: series(t, value.Int(4), nil)}}})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(csvOutput, "NOW", now)
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	if got, want := messages.String(), "Attached 2 probes\n"; got != want {
		t.Errorf("messages %q, want %q", got, want)
	}
	r := csv.NewReader(&out)
	r.FieldsPerRecord = -1
	if rows, err := r.ReadAll(); err != nil || len(rows) < 30 {
		t.Errorf("a reader of CSV finds %d rows: %v", len(rows), err)
	}
}

func TestRates(t *testing.T) {
	at := &clock{time.Unix(1000, 0)}
	var out bytes.Buffer
	r := NewRates(NewText(NewWriter(&out, Line), &out, Style{}))
	r.now = at.Now
	at.now = at.now.Add(time.Hour) // loading the script may take long
	r.Attached(1)
	m := func(pairs ...any) Map {
		m := Map{Name: "@c", Keyed: true, Metric: value.Counter}
		for i := 0; i < len(pairs); i += 2 {
			m.Entries = append(m.Entries, value.Entry{Key: value.Str{S: pairs[i].(string)}, Value: value.Uint(pairs[i+1].(int))})
		}
		return m
	}
	show := func(after time.Duration, m Map) string {
		at.now = at.now.Add(after)
		out.Reset()
		r.Map(m)
		r.Flush()
		return out.String()
	}
	for _, c := range []struct {
		after time.Duration
		m     Map
		want  string
	}{
		{2 * time.Second, m("a", 10, "b", 4), "@c[b]: 2\n@c[a]: 5\n"},
		{500 * time.Millisecond, m("a", 20, "b", 4), "@c[a]: 20\n"},
		{time.Second, m("a", 5, "b", 6), "@c[b]: 2\n@c[a]: 5\n"}, // cleared meanwhile
		{time.Second, m("b", 6), ""},
		{time.Second, m("a", 3, "b", 9), "@c[a]: 3\n@c[b]: 3\n"},
		{time.Second, Map{Name: "@g", Metric: value.Gauge, Entries: []value.Entry{{Value: value.Int(7)}}}, "@g: 7\n"},
	} {
		if got := show(c.after, c.m); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	r.End()
	if got, want := show(time.Second, m("a", 3, "b", 9)), "@c[a]: 3\n@c[b]: 9\n"; !strings.HasSuffix(got, want) {
		t.Errorf("at the end: got %q, want %q", got, want)
	}
}
