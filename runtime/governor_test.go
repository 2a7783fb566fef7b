package runtime

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

func TestDecide(t *testing.T) {
	// A program is: number of its sampling, or 0; log; ns of a run; ns before sampling;
	// share in thousandths.
	type prog struct {
		sampled, log int
		ns, whole    float64
		share        float64
	}
	for _, c := range []struct {
		name   string
		progs  []prog
		budget float64 // thousandths
		want   string
	}{
		{"within", []prog{{1, 0, 100, 0, 9}, {0, 0, 100, 0, 10}}, 20, ""},
		{"first sampling", []prog{{1, 0, 100, 0, 50}}, 20, "0/16"},
		{"the dearest that can be sampled", []prog{{0, 0, 100, 0, 50}, {1, 0, 100, 0, 30}}, 60, "1/16"},
		{"both", []prog{{2, 0, 100, 0, 50}, {1, 0, 100, 0, 30}}, 2, "0/16 1/16"},
		{"more of it", []prog{{1, 4, 110, 1000, 50}}, 40, "0/64"},
		{"hardly enough", []prog{{1, 4, 110, 1000, 50}}, 24, "0/512"},
		{"it does not help", []prog{{1, 4, 95, 100, 50}}, 20, "0 off"},
		{"only detaching", []prog{{0, 0, 100, 0, 50}, {0, 0, 100, 0, 5}}, 20, "0 off"},
		{"several", []prog{{0, 0, 100, 0, 50}, {0, 0, 100, 0, 40}, {0, 0, 100, 0, 5}}, 20, "0 off 1 off"},
		{"small ones stay exact", []prog{{0, 0, 100, 0, 50}, {1, 0, 100, 0, 1}}, 20, "0 off"},
		{"no more sampling", []prog{{1, maxLog, 50, 1000, 30}}, 20, "0 off"},
		{"nothing ran", []prog{{1, 0, 0, 0, 0}}, 20, ""},
	} {
		var list []*governed
		for i, p := range c.progs {
			g := &governed{p: &object.Program{Sampled: p.sampled, Stack: i}, share: p.share / 1000, log: p.log, ns: p.ns, whole: p.whole}
			if p.ns > 0 {
				g.rate = g.share / p.ns
			}
			list = append(list, g)
		}
		var got []string
		for _, a := range decide(list, c.budget/1000) {
			if a.detach {
				got = append(got, fmt.Sprintf("%d off", a.p.p.Stack))
			} else {
				got = append(got, fmt.Sprintf("%d/%d", a.p.p.Stack, 1<<a.log))
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", c.name, s, c.want)
		}
	}
}

// calls makes n system calls in a separate thread.
func calls(n int, stop <-chan struct{}) {
	for i := range n {
		unix.Getppid()
		if i%1024 == 0 {
			select {
			case <-stop:
				return
			default:
			}
		}
	}
}

// TestSampling samples a program. Each event counts as several, in every aggregation.
func TestSampling(t *testing.T) {
	const events, log = 100_000, 4
	text := fmt.Sprintf(`tracepoint:syscalls:sys_enter_getppid /pid == %d/ {
	@n = count(); @sum = sum(3); @minus = sum(-3); @keyed[pid] = sum((uint64)0xf000000000000001); @low[1] = sum((int64)-0x7000000000000001);
	@avg = avg(-7); @stats = stats(9); @hist = hist(5); @lhist = lhist(5, 0, 10, 1);
}
interval:s:1 { @exact++; }`, os.Getpid())
	var s *Instance
	attached := func() {
		m := s.maps[object.SampleMap]
		var data [8]byte
		binary.NativeEndian.PutUint64(data[:], log)
		if err := m.Put(uint32(0), data[:]); err != nil {
			t.Error(err)
		}
		calls(events, nil)
		s.Stop()
	}
	s = loadScriptWith(t, text, codegen.Request{Sample: true}, Setup{Sink: output.Nop{}, Stderr: io.Discard, KeepMaps: true, Attached: attached})
	if n := s.maps[object.SampleMap].ValueSize(); n != 8 {
		t.Fatalf("%d bytes of programs that are sampled, want 8", n)
	}
	if _, err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range s.final {
		for _, e := range m.Entries {
			got[m.Name] = strings.TrimSpace(value.Text(e.Value, ".."))
		}
	}
	var n uint64
	if _, err := fmt.Sscan(got["@n"], &n); err != nil || n%(1<<log) != 0 {
		t.Fatalf("%q events", got["@n"])
	}
	// The standard deviation is 1.2%.
	if n < events*9/10 || n > events*11/10 {
		t.Errorf("%d events, want about %d", n, events)
	}
	for name, want := range map[string]string{
		"@sum": fmt.Sprint(3 * n), "@minus": fmt.Sprint(-3 * int64(n)), "@avg": "-7",
		"@stats": fmt.Sprintf("{ .count = %d, .average = 9, .total = %d }", n, 9*n),
		"@keyed": times("17293822569102704641", n), "@low": "-" + times("8070450532247928833", n),
	} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
	for _, name := range []string{"@hist", "@lhist"} {
		if !strings.Contains(got[name], fmt.Sprintf(" %d |", n)) {
			t.Errorf("%s is %s, want %d", name, got[name], n)
		}
	}
}

// messages collects the messages of a session.
type messages struct {
	output.Nop
	mu   sync.Mutex
	list []output.Message
}

func (m *messages) Message(msg output.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, msg)
}

// TestGovernor floods probes until the governor has detached the last one. The budget is
// so small that even programs that do nothing exceed it.
func TestGovernor(t *testing.T) {
	text := fmt.Sprintf(`tracepoint:syscalls:sys_enter_getppid /pid == %d/ { @n = count(); }
tracepoint:syscalls:sys_exit_getppid /pid == %[1]d/ { @last = nsecs; }`, os.Getpid())
	sink := &messages{}
	var s *Instance
	flooded := make(chan struct{})
	attached := func() {
		go func() {
			defer close(flooded)
			calls(1<<40, s.done)
		}()
	}
	s = loadScriptWith(t, text, codegen.Request{Sample: true}, Setup{Sink: sink, Stderr: io.Discard, Budget: NewBudget(1e-5), Attached: attached})
	if _, err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	<-flooded
	var all []string
	for _, m := range sink.list {
		if m.Kind != "overhead" || m.Level != output.Overhead || !m.At.IsValid() {
			t.Errorf("message %+v", m)
		}
		all = append(all, m.Text)
	}
	told := strings.Join(all, "\n")
	for _, want := range []string{
		"sys_enter_getppid takes ", "runs at about 1 of 16 events, and each counts as 16. Its numbers are estimates.",
		"it is detached after ", "No probe is left, so the session ends.",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("no %q in:\n%s", want, told)
		}
	}
	if strings.Contains(told, "sys_exit_getppid takes") && strings.Count(told, "it is detached") != 2 {
		t.Errorf("not both are detached:\n%s", told)
	}
}

// TestBudget floods a program and lets the governor act after each part of the flood.
// According to the kernel's statistics, the program is then within a budget that it
// exceeded at first. When the flood ends, it runs at every event again.
func TestBudget(t *testing.T) {
	const part, periods = 15_000, 10
	text := fmt.Sprintf(`tracepoint:syscalls:sys_enter_getppid /pid == %d/ { @n[kstack] = count(); @h[pid] = hist(nsecs); @s[tid] = stats(nsecs); }`, os.Getpid())
	sink := &messages{}
	var s *Instance
	attached := func() {
		defer s.Stop()
		s.opt.Budget = NewBudget(1)
		if err := s.startGoverning(); err != nil {
			t.Error(err)
			return
		}
		g := s.governor
		defer close(g.done)
		defer g.leave()
		// The clock is not the real one, so that shares depend on the kernel's times only.
		now := time.Now()
		g.join(now)
		period := func(events int) (total float64) {
			calls(events, nil)
			now = now.Add(governPeriod)
			g.measure(now)
			total = totalShare(g.progs)
			g.act(now)
			return total
		}
		whole := 0.0
		for range 4 {
			whole += period(part) / 4
		}
		g.budget.share = whole * 2 / 5
		last := 0.0
		for i := range 2 * periods {
			if share := period(part); i >= periods {
				last += share / periods
			}
		}
		if budget := g.budget.share; last > 1.5*budget {
			t.Errorf("the share is %v at first and %v at last, the budget %v", whole, last, budget)
		}
		p := g.progs[0]
		if !p.sampled || p.detached {
			t.Errorf("sampled %v, detached %v", p.sampled, p.detached)
		}
		for range 2*maxWait + 1 {
			period(0)
		}
		if p.log != 0 {
			t.Errorf("after the flood it runs at 1 of %d events", 1<<p.log)
		}
	}
	s = loadScriptWith(t, text, codegen.Request{Sample: true}, Setup{Sink: sink, Stderr: io.Discard, Attached: attached})
	if _, err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, m := range sink.list {
		all.WriteString(m.Text + "\n")
	}
	for _, want := range []string{"from now on it runs at about 1 of 16 events", "from now on it runs at every event again", "At the end it ran at every event"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %q in:\n%s", want, all.String())
		}
	}
}

// TestRelaxed checks when a program runs at more events.
func TestRelaxed(t *testing.T) {
	for _, c := range []struct {
		name      string
		log       int
		ns, whole float64
		rate      float64 // of events, in thousandths of the time per ns
		want      float64 // thousandths
		log2      int
	}{
		{"no events", 6, 100, 1000, 0, 5, 0},
		{"few events", 6, 100, 1000, .004, 5, 0},
		{"more events", 6, 100, 1000, .02, 5, 3},
		{"too many events", 6, 100, 1000, .05, 5, 6},
		{"not sampled", 0, 1000, 1000, .001, 5, 0},
	} {
		p := &governed{p: &object.Program{Sampled: 1}, log: c.log, ns: c.ns, whole: c.whole, rate: c.rate / 1000, share: c.rate / 1000 * c.ns}
		if log := p.relaxed(c.want / 1000); log != c.log2 {
			t.Errorf("%s: 1 of %d, want 1 of %d", c.name, 1<<log, 1<<c.log2)
		}
	}
}

// TestShared checks that governors act for the programs of their own sessions only, by the
// share of all.
func TestShared(t *testing.T) {
	b := NewBudget(.02)
	var govs []*governor
	for _, share := range []float64{.018, .012, .001} {
		s := &Instance{obj: &object.Object{}, ending: newEnding(), attachments: attachments{missed: map[*object.Program]uint64{}}}
		p := &object.Program{Points: []object.Point{{Name: "x"}}}
		s.obj.Programs = []*object.Program{p}
		g := &governor{s: s, budget: b, wait: firstWait, progs: []*governed{{p: p, share: share, ns: 100, rate: share / 100}}}
		b.progs = append(b.progs, g.progs...)
		govs = append(govs, g)
	}
	for range 2 {
		for _, i := range []int{2, 1, 0} {
			govs[i].act(time.Now())
		}
	}
	for i, want := range []bool{true, false, false} {
		if got := govs[i].progs[0].detached; got != want {
			t.Errorf("program %d is detached: %v", i, got)
		}
	}
	govs[0].leave()
	if len(b.progs) != 2 {
		t.Errorf("%d programs", len(b.progs))
	}
}

// closed counts how often it is closed.
type closed int

func (c *closed) Close() error { *c++; return nil }

// TestDetach detaches programs of a session. The session must end when no program has a
// link, and no goroutine attaches one to files.
func TestDetach(t *testing.T) {
	for _, c := range []struct {
		name  string
		progs string // their links; a capital is that of a program's fetcher
		fixed string // programs that are attached to files
		off   string // programs to detach
		left  string
		ends  bool
	}{
		{"one of two", "aab", "", "a", "b", false},
		{"the last one", "aa", "", "a", "", true},
		{"both", "aab", "", "ab", "", true},
		{"a fetcher goes with its program", "aAbB", "", "a", "bB", false},
		{"the last one and its fetcher", "aA", "", "a", "", true},
		{"the other is at libraries", "a", "b", "a", "", false},
		{"the one at libraries", "a", "b", "b", "a", true},
	} {
		s := &Instance{obj: &object.Object{}, ending: newEnding(), attachments: attachments{missed: map[*object.Program]uint64{}}}
		g := &governor{s: s}
		for i, name := range []string{"a", "b"} {
			p := &object.Program{Points: []object.Point{{Name: name}}}
			s.obj.Programs = append(s.obj.Programs, p)
			s.obj.Fetchers = append(s.obj.Fetchers, object.Fetcher{Program: &object.Program{}, For: i})
			g.progs = append(g.progs, &governed{p: p, fixed: strings.Contains(c.fixed, name)})
		}
		links := map[byte]*closed{}
		for i := range c.progs {
			letter := c.progs[i]
			n := int(letter|0x20) - 'a'
			p := s.obj.Programs[n]
			if letter < 'a' {
				p = s.obj.Fetchers[n].Program
			}
			if links[letter] == nil {
				links[letter] = new(closed)
			}
			s.links = append(s.links, attached{links[letter], nil, p})
		}
		for _, name := range []byte(c.off) {
			g.detach(g.progs[name-'a'], g.began)
		}
		for letter, n := range links {
			want := 0
			if !strings.Contains(c.left, string(rune(letter))) {
				want = strings.Count(c.progs, string(rune(letter)))
			}
			if int(*n) != want {
				t.Errorf("%s: %c: %d links are closed, want %d", c.name, letter, *n, want)
			}
		}
		if len(s.links) != len(c.left) || s.stopped() != c.ends {
			t.Errorf("%s: %d links are left, the session ends: %v; want %d, %v", c.name, len(s.links), s.stopped(), len(c.left), c.ends)
		}
	}
}

// times returns a decimal number times n.
func times(number string, n uint64) string {
	x, _ := new(big.Int).SetString(number, 10)
	return x.Mul(x, new(big.Int).SetUint64(n)).String()
}
