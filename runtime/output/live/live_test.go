package live

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func str(s string) value.Value { return value.Str{S: s} }

func counters(name string, n map[string]uint64) output.Map {
	m := output.Map{Name: name, Keyed: true, Metric: value.Counter}
	for _, k := range []string{"a", "b", "c", "dd", "Other", "other"} {
		if v, ok := n[k]; ok {
			m.Entries = append(m.Entries, value.Entry{Key: str(k), Value: value.Uint(v)})
		}
	}
	return m
}

func hist(counts ...uint64) value.Hist {
	var h value.Hist
	for i, n := range counts {
		h.Buckets = append(h.Buckets, value.Bucket{Min: 1 << i, Max: 2<<i - 1, Label: fmt.Sprintf("[%d, %d)", 1<<i, 2<<i), Count: n})
	}
	return h
}

func stack(names ...string) value.Stack {
	var s value.Stack
	for i, n := range names {
		s.Frames = append(s.Frames, value.Frame{Addr: uint64(0x1000 + i), Name: n, Offset: uint64(i)})
	}
	return s
}

// newTest returns a model of a screen of the given size.
func newTest(w, h int) *model {
	m := newModel(newRing(4096), newRing(1024), start, time.Second)
	m.w, m.h = w, h
	return m
}

// press handles keys, which are written as the terminal sends them.
func press(m *model, keys string) {
	for b := []byte(keys); len(b) > 0; {
		k, n := decodeKey(b, true)
		m.key(k)
		b = b[n:]
	}
}

const (
	up, down, left, right = "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C"
	pageDown, home, end_  = "\x1b[6~", "\x1b[H", "\x1bOF"
)

// TestAnyKeys checks random keys, contents and sizes: the view never fails, and the
// terminal shows the grid and gets only text and the sequences of the view.
func TestAnyKeys(t *testing.T) {
	keys := []string{up, down, left, right, pageDown, home, end_, "\t", "\x1b[Z", "\r", "\x7f", "\x1b", " ", "1", "9", "~",
		"q", "?", "e", "f", "/", "n", "N", "s", "S", "i", "r", "t", "c", "o", "g", "G", "+", "-", "\x0c", "\x15", "日", "\xff", "a"}
	texts := []string{"a", "", "\x1b[31m", "日本", "\u0301", "\u200d", "\xff\xfe", strings.Repeat("long ", 40), "\r\n", "👩‍💻", "\u202e"}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := func() string { return texts[r.IntN(len(texts))] + texts[r.IntN(len(texts))] }
		val := func() value.Value {
			switch r.IntN(12) {
			case 0:
				return hist(r.Uint64N(3), 0, r.Uint64N(1<<40), 5)
			case 1:
				return value.Series{Interval: 1e9, Points: []value.Point{{Start: 1, V: value.Int(3), Set: true}, {Start: 2}}}
			case 2:
				return value.Stats{Count: r.Int64N(9), Avg: value.Int(1), Total: value.Wide{Hi: 1}}
			case 3:
				return str(text())
			case 4:
				return stack(text(), "f")
			case 5:
				return value.Null{}
			case 6:
				return value.Tuple{value.Int(1), str(text())}
			case 7:
				return value.Hist{}
			case 8:
				return value.Series{}
			case 9:
				return value.Avg{V: value.Int(-3)}
			}
			return value.Int(r.Int64() >> r.IntN(64))
		}
		m := newTest(r.IntN(100), r.IntN(30))
		m.ascii = r.IntN(2) == 0
		now := start
		var screen *grid
		var terminal *emulator
		for range 40 {
			switch r.IntN(5) {
			case 0:
				var maps []output.Map
				for i := range r.IntN(4) {
					om := output.Map{Name: "@" + strings.Repeat("x", i), Keyed: i > 0, Metric: value.Metric(r.IntN(6))}
					n := 1
					if om.Keyed {
						n = r.IntN(20)
					}
					for range n {
						e := value.Entry{Value: val()}
						if om.Keyed {
							e.Key = val()
						}
						om.Entries = append(om.Entries, e)
					}
					maps = append(maps, om)
				}
				now = now.Add(time.Duration(r.Int64N(1e10)))
				m.update(now, maps, nil)
			case 1:
				m.out.src.Write([]byte(text() + "\n"))
				m.messages.Write([]byte(text()))
			case 2:
				m.w, m.h = r.IntN(100), r.IntN(30)
			default:
				press(m, keys[r.IntN(len(keys))])
			}
			g := m.draw()
			if terminal == nil || terminal.g.w != g.w || terminal.g.h != g.h {
				terminal, screen = &emulator{t: t, g: newGrid(g.w, g.h)}, nil
			}
			terminal.write(string(changes(screen, g, r.IntN(2) == 0)))
			screen = g
			if g.String() != terminal.g.String() {
				t.Fatalf("seed %d: the terminal shows something else:\n%s", seed, cmp.Diff(g.String(), terminal.g.String()))
			}
		}
		press(m, "w")
		m.write(new(strings.Builder), false)
		m.write(new(strings.Builder), true)
	}
}

// emulator is a terminal that knows only the sequences that the view uses.
type emulator struct {
	t    *testing.T
	g    *grid
	x, y int
}

func (e *emulator) write(s string) {
	for len(s) > 0 {
		if rest, ok := strings.CutPrefix(s, "\x1b["); ok {
			n := strings.IndexAny(rest, "HJm")
			if n < 0 || strings.Trim(rest[:n], "0123456789;") != "" {
				e.t.Fatalf("an unknown sequence: %.20q", s)
			}
			switch arg := rest[:n]; rest[n] {
			case 'H':
				if _, err := fmt.Sscanf(arg, "%d;%d", &e.y, &e.x); err != nil {
					e.t.Fatalf("%q: %v", arg, err)
				}
				e.x, e.y = e.x-1, e.y-1
			case 'J':
				e.g = newGrid(e.g.w, e.g.h)
			}
			s = rest[n+1:]
			continue
		}
		r := []rune(s)[0]
		if !unicode.IsPrint(r) {
			e.t.Fatalf("%q is sent to the terminal", r)
		}
		e.put(r)
		s = s[len(string(r)):]
	}
}

// put writes a character as terminals do: half of a wide character that is overwritten
// becomes a space.
func (e *emulator) put(r rune) {
	w := width(r)
	row := e.g.cells[e.y*e.g.w : (e.y+1)*e.g.w]
	if w == 0 {
		for x := e.x - 1; x >= 0; x-- {
			if row[x].r != 0 {
				row[x].marks += string(r)
				return
			}
		}
		return
	}
	for x := e.x; x < e.x+w; x++ {
		if row[x].r == 0 {
			row[x-1] = cell{r: ' '}
		}
		if x+1 < len(row) && row[x+1].r == 0 {
			row[x+1] = cell{r: ' '}
		}
	}
	row[e.x] = cell{r: r}
	if w == 2 {
		row[e.x+1] = cell{}
	}
	e.x += w
}

// TestKeys checks what terminals send for keys, also in pieces.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		in   string
		last bool
		key  rune
		n    int
	}{
		{"", true, 0, 0}, {"a", false, 'a', 1}, {"\r", false, keyEnter, 1}, {"\x03x", false, ctrlC, 1},
		{"\x1b", false, 0, 0}, {"\x1b", true, keyEscape, 1}, {"\x1b[", false, 0, 0}, {"\x1b[A", false, keyUp, 3},
		{"\x1bOA", false, keyUp, 3}, {"\x1b[6~q", false, keyPageDown, 4}, {"\x1b[1;5Cq", false, keyNone, 6},
		{"\x1b[[A", false, keyHelp, 4}, {"\x1b\x1b[A", false, keyEscape, 1}, {"\xe6\x97", false, 0, 0},
		{"日", false, '日', 3}, {"\xff", false, keyNone, 1}, {"\xe6\x97", true, keyNone, 1}, {"\x1b[12", true, keyNone, 4},
		{"\x1b[" + strings.Repeat("1", 100), false, keyNone, 102},
	} {
		if k, n := decodeKey([]byte(c.in), c.last); k != c.key || n != c.n {
			t.Errorf("%q: key %d, %d bytes, want %d, %d", c.in, k, n, c.key, c.n)
		}
	}
}

// TestRing compares a ring with a plain string.
func TestRing(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		const size = 40
		ring, all := newRing(size), ""
		for range 30 {
			b := make([]byte, r.IntN(60)*r.IntN(2)+r.IntN(8))
			for i := range b {
				b[i] = "ab\n"[r.IntN(3)]
			}
			ring.Write(b)
			all += string(b)
			kept := all[max(len(all)-size, 0):]
			before := strings.Count(all[:len(all)-len(kept)], "\n")
			if cut := len(all) - len(kept); cut > 0 && all[cut-1] != '\n' {
				if i := strings.IndexByte(kept, '\n'); i >= 0 {
					kept, before = kept[i+1:], before+1
				}
			}
			got, n := ring.contents()
			if string(got) != kept || n != uint64(before) {
				t.Fatalf("seed %d: contents %q after %d lines, want %q after %d", seed, got, n, kept, before)
			}
			k := r.IntN(size)
			if got, want := string(ring.tail(k)), all[max(len(all)-min(k, size), 0):]; got != want {
				t.Fatalf("seed %d: the last %d bytes are %q, want %q", seed, k, got, want)
			}
		}
	}
}

// TestSave checks the files that are saved, and names that cannot be.
func TestSave(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, tab, message, want string }{
		{filepath.Join(dir, "new.txt"), "1", "saved as ", "value\tper s\tkey\n3\t0\tb\n2\t0\ta\n"},
		{filepath.Join(dir, "new.json"), "1", "saved as ", `{"type": "map", "data": {"@": {"b": 3, "a": 2}}}` + "\n"},
		{filepath.Join(dir, "out.txt"), "o", "saved as ", "x\ny\n"},
		{filepath.Join(dir, "out.json"), "o", "saved as ", `{"type": "value", "data": "x"}` + "\n" + `{"type": "value", "data": "y"}` + "\n"},
		{old, "1", "not saved: " + old + " exists", "old"},
		{filepath.Join(dir, "no", "x"), "1", "not saved: ", ""},
		{"/dev/full", "1", "not saved: /dev/full exists", ""},
	} {
		m := newTest(80, 24)
		m.out.src.Write([]byte("x\ny\n"))
		m.update(start, []output.Map{counters("@", map[string]uint64{"a": 2, "b": 3})}, nil)
		press(m, c.tab+"w\x15"+c.name)
		if got := m.key(keyEnter); got != save {
			t.Errorf("%s: enter asks for %d", c.name, got)
		}
		m.save()
		if !strings.HasPrefix(m.message, c.message) {
			t.Errorf("%s: message %q", c.name, m.message)
		}
		if strings.HasPrefix(c.name, "/dev") {
			continue
		}
		if got, _ := os.ReadFile(c.name); string(got) != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestSaveAll checks that a file gets all of the output that is kept, not only the end
// that the view shows.
func TestSaveAll(t *testing.T) {
	m := newModel(newRing(4*tailBytes), newRing(1024), start, time.Second)
	want := strings.Repeat("a line of the output\n", 2*tailBytes/21)
	m.out.src.Write([]byte(want))
	var got strings.Builder
	if err := m.write(&got, false); err != nil || got.String() != want {
		t.Errorf("%v, %d bytes of %d", err, got.Len(), len(want))
	}
}

// TestCut checks that an entry that becomes one of the greatest again, and so returns to
// the snapshots, does not seem to have risen from 0.
func TestCut(t *testing.T) {
	m := newTest(80, 24)
	var got []string
	for i, s := range []struct {
		more    int
		entries map[string]uint64
	}{
		{0, map[string]uint64{"a": 100}},
		{1, map[string]uint64{"a": 110, "b": 20}},
		{1, map[string]uint64{"a": 120, "c": 500}},
		{0, map[string]uint64{"a": 130, "b": 600, "c": 501}},
		{0, map[string]uint64{"a": 140, "b": 602, "c": 501, "dd": 7}},
	} {
		om := counters("@", s.entries)
		om.More = s.more
		m.update(start.Add(time.Duration(i+1)*time.Second), []output.Map{om}, nil)
		text := ""
		for _, r := range m.maps[0].all {
			text += fmt.Sprint(r.id, " ", r.rate, " ")
		}
		got = append(got, strings.TrimSpace(text))
	}
	if d := cmp.Diff([]string{"a 0", "a 10 b 20", "a 10 c 0", "a 10 b 0 c 1", "a 10 b 2 c 0 dd 7"}, got); d != "" {
		t.Error(d)
	}
}

// TestHeat checks the numbers that histograms got between snapshots, also if they were
// cleared or left out meanwhile.
func TestHeat(t *testing.T) {
	m := newTest(80, 24)
	var got [][]bucket
	for i, s := range []struct {
		more int
		hist value.Hist
	}{
		{0, hist(1, 5)},
		{0, hist(4, 5, 1)},
		{0, hist(7, 2)}, // cleared
		{1, value.Hist{}},
		{0, hist(8, 3)},
		{0, hist(8, 4)},
	} {
		om := output.Map{Name: "@h", Keyed: true, Metric: value.Histogram, More: s.more}
		if s.more == 0 {
			om.Entries = []value.Entry{{Key: str("a"), Value: s.hist}}
		}
		m.update(start.Add(time.Duration(i+1)*time.Second), []output.Map{om}, nil)
		for _, r := range m.maps[0].all {
			got = append(got, r.heat[len(r.heat)-1].counts)
		}
	}
	want := [][]bucket{{{1, 1}, {2, 5}}, {{1, 3}, {4, 1}}, {{1, 7}, {2, 2}}, nil, {{2, 1}}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(bucket{})); d != "" {
		t.Error(d)
	}
}

// TestHeld checks the output of a view's writers before, while and after it is on the
// terminal, and that the rest is kept for the end, within bounds.
func TestHeld(t *testing.T) {
	v := &View{output: newRing(100), messages: newRing(100)}
	var terminal, file, errs strings.Builder
	results, direct, messages := v.Results(&terminal, false), v.Results(&file, true), v.Messages(&errs, false)
	results.keep = newRing(8)
	check := func(when string, want ...string) {
		t.Helper()
		shown, _ := v.output.contents()
		warned, _ := v.messages.contents()
		got := []string{terminal.String(), file.String(), errs.String(), string(shown), string(warned)}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", when, d)
		}
	}
	write := func(text string) {
		for _, h := range v.held {
			if n, err := h.Write([]byte(text)); n != len(text) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
	}
	write("a\n")
	check("before", "a\n", "a\n", "a\n", "a\na\n", "")
	for _, h := range v.held {
		h.begin()
	}
	write("b1\n")
	write("b2\n")
	write("b3\n")
	check("meanwhile", "a\n", "a\nb1\nb2\nb3\n", "a\n", "a\na\nb1\nb1\nb2\nb2\nb3\nb3\n", "b1\nb2\nb3\n")
	if lost := []uint64{results.end(), direct.end(), messages.end()}; !cmp.Equal(lost, []uint64{1, 0, 0}) {
		t.Errorf("lines that were not kept: %d", lost)
	}
	write("c\n")
	check("after", "a\nb2\nb3\nc\n", "a\nb1\nb2\nb3\nc\n", "a\nb1\nb2\nb3\nc\n", "a\na\nb1\nb1\nb2\nb2\nb3\nb3\n", "b1\nb2\nb3\n")
}

// TestBounds checks that the history does not grow without bound.
func TestBounds(t *testing.T) {
	m := newTest(80, 24)
	for i := range 800 {
		om := output.Map{Name: "@h", Keyed: true, Metric: value.Histogram}
		for k := range 20 {
			om.Entries = append(om.Entries, value.Entry{Key: value.Int(i/100*20 + k), Value: hist(make64(i, 50)...)})
		}
		m.update(start.Add(time.Duration(i)*time.Second), []output.Map{om}, nil)
	}
	ts := &m.maps[0].tracks
	cells := 0
	for _, tr := range ts.byKey {
		if len(tr.history) > maxHistory || len(tr.heat) > maxSlices {
			t.Errorf("%d values, %d slices", len(tr.history), len(tr.heat))
		}
		for _, s := range tr.heat {
			cells += len(s.counts)
		}
	}
	if cells != ts.cells || cells > maxCells+50*20 || len(ts.byKey) != 20 {
		t.Errorf("%d buckets, counted %d, of %d entries", cells, ts.cells, len(ts.byKey))
	}
}

func make64(n, size int) []uint64 {
	c := make([]uint64, size)
	for i := range c {
		c[i] = uint64(n + 1)
	}
	return c
}
