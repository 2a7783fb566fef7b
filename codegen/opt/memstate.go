package opt

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
)

// fact describes the content of some bytes of memory: the low size bytes of val, or
// zeros if val is nil.
type fact struct {
	at   location
	size int64
	val  *ir.Value
	seq  int // order in which facts are added and kept
}

func (f *fact) same(g *fact) bool { return f.at == g.at && f.size == g.size && f.val == g.val }

// found is a map lookup whose result is still valid.
type found struct {
	m      *ir.Map
	key    string // identifies the content of the key
	result *ir.Value
}

// version identifies the content of a slot: two states with the same n have the same
// content, whether or not it is known.
type version struct {
	base *ir.Value
	n    int
}

// state holds the facts about memory at a point of the program.
type state struct {
	facts    []fact
	lookups  []found
	versions []version // of private slots
	others   int       // the version of all private slots without an entry in versions
}

func (s *state) copyFrom(t *state) {
	s.facts = append(s.facts[:0], t.facts...)
	s.lookups = append(s.lookups[:0], t.lookups...)
	s.versions = append(s.versions[:0], t.versions...)
	s.others = t.others
}

// written gives a private slot a new version.
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

// meet removes the facts that t does not have from the current state.
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

// meetFacts returns the facts of a that are also in b. A fact from before the paths
// separated has the same number in both, so most are found by walking both lists at
// once.
func meetFacts(a, b []fact) []fact {
	var room [maxFacts]int
	left, j := room[:0], 0 // of b: the facts without a partner of the same number
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
		// Both paths may have added the same fact.
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

// begin returns the state at the beginning of b. It reuses states that no block needs
// any more.
func (m *memPass) begin(b *ir.Block, ends []*state, readers []int) *state {
	m.s = nil
	loop := len(b.Preds) == 0
	for _, p := range b.Preds {
		loop = loop || ends[p.ID] == nil
	}
	for _, p := range b.Preds {
		e := ends[p.ID]
		if e == nil { // a loop whose body has not been processed
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
