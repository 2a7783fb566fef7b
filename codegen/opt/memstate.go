package opt

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
)

// fact is what some bytes of memory hold: the low size bytes of val, or zeros
// where val is nil.
type fact struct {
	at   location
	size int64
	val  *ir.Value
	seq  int // when it was learnt: facts are kept in this order
}

func (f *fact) same(g *fact) bool { return f.at == g.at && f.size == g.size && f.val == g.val }

// found is a map lookup whose result still stands.
type found struct {
	m      *ir.Map
	key    string // what the key consisted of
	result *ir.Value
}

// version says that a slot was written since version n in ways that facts do not
// tell.
type version struct {
	base *ir.Value
	n    int
}

// state is what is known of memory at a point.
type state struct {
	facts    []fact
	lookups  []found
	versions []version // of private slots
	others   int       // the version of all private slots that have none of their own
}

func (s *state) copyFrom(t *state) {
	s.facts = append(s.facts[:0], t.facts...)
	s.lookups = append(s.lookups[:0], t.lookups...)
	s.versions = append(s.versions[:0], t.versions...)
	s.others = t.others
}

// written gives a private slot a version that no other point has.
func (m *memPass) written(base *ir.Value) {
	s := m.s
	for i := range s.versions {
		if s.versions[i].base == base {
			s.versions[i].n = m.fresh()
			return
		}
	}
	if len(s.versions) >= maxVersions {
		s.versions, s.others = s.versions[:0], m.fresh()
	}
	s.versions = append(s.versions, version{base, m.fresh()})
}

// meet keeps in the current state what is known in t too.
func (m *memPass) meet(t *state) {
	s := m.s
	s.facts = meetFacts(s.facts, t.facts)
	s.lookups = slices.DeleteFunc(s.lookups, func(f found) bool { return !slices.Contains(t.lookups, f) })
	if len(s.versions) == len(t.versions) && s.others == t.others && slices.Equal(s.versions, t.versions) {
		return
	}
	for _, v := range t.versions {
		if s.version(v.base) != v.n {
			m.written(v.base)
		}
	}
	for _, v := range s.versions {
		if t.version(v.base) != v.n {
			m.written(v.base)
		}
	}
	if s.others != t.others {
		s.others = m.fresh()
	}
}

// meetFacts keeps those of a that are in b too. What was learnt before the paths
// parted has the same number in both, so most are found by walking both at once.
func meetFacts(a, b []fact) []fact {
	var room [maxFacts]int
	left, j := room[:0], 0 // of b, those that are not met by number
	kept, only := a[:0], 0
	for i := range a {
		for j < len(b) && b[j].seq < a[i].seq {
			left = append(left, j)
			j++
		}
		k := j
		for k < len(b) && b[k].seq == a[i].seq && !b[k].same(&a[i]) {
			k++
		}
		if k < len(b) && b[k].seq == a[i].seq {
			kept = append(kept, a[i])
			continue
		}
		// Both may have learnt it, each for itself.
		only++
		f := a[i]
		f.seq = -f.seq
		kept = append(kept, f)
	}
	for ; j < len(b); j++ {
		left = append(left, j)
	}
	if only == 0 {
		return kept
	}
	all := kept
	kept = all[:0]
	for _, f := range all {
		if f.seq < 0 {
			if !slices.ContainsFunc(left, func(j int) bool { return b[j].same(&f) }) {
				continue
			}
			f.seq = -f.seq
		}
		kept = append(kept, f)
	}
	return kept
}

// begin returns what is known where b begins. States that nobody reads any more are
// used again.
func (m *memPass) begin(b *ir.Block, ends []*state, readers []int) *state {
	m.s = nil
	loop := len(b.Preds) == 0
	for _, p := range b.Preds {
		loop = loop || ends[p.ID] == nil
	}
	for _, p := range b.Preds {
		e := ends[p.ID]
		if e == nil { // a loop: what its body does is not known yet
			continue
		}
		readers[p.ID]--
		last := readers[p.ID] == 0
		switch {
		case loop:
		case m.s == nil && last:
			m.s, last = e, false
		case m.s == nil:
			m.s = m.newState()
			m.s.copyFrom(e)
		default:
			m.meet(e)
		}
		if last {
			m.free = append(m.free, e)
		}
	}
	if m.s == nil { // nothing is known
		m.s = m.newState()
		m.s.copyFrom(&state{others: m.fresh()})
	}
	return m.s
}

func (m *memPass) newState() *state {
	if n := len(m.free); n > 0 {
		s := m.free[n-1]
		m.free = m.free[:n-1]
		return s
	}
	return &state{}
}

func (m *memPass) fresh() int {
	m.next++
	return m.next
}
