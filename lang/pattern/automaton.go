package pattern

import (
	"encoding/binary"
	"fmt"
	"regexp/syntax"
	"slices"
)

// An Automaton is a deterministic automaton in the form of a table that a program
// reads.
//
// Table holds a row of Stride bytes for each state. A row starts with the offset of the next
// row for each class of bytes, in 16 bits each. At Result it has a word with a bit for each
// pattern that matches if the text ends here. A state is the offset of its row. Classes has,
// for each byte, the offset of its entry in a row.
type Automaton struct {
	Table   []byte
	Classes [256]uint16
	Stride  int
	Result  int
	Start   int
	// Settled is the first of the states that no text leaves. Their rows come last.
	Settled int
	States  int
}

// maxTable is the maximum size of a table in bytes: a state must fit in 16 bits.
const maxTable = 1 << 16

// Match runs the automaton and returns the patterns that match, a bit for each.
func (a *Automaton) Match(text []byte) uint64 {
	s := a.Start
	for _, c := range text {
		if s >= a.Settled {
			break
		}
		s = int(binary.LittleEndian.Uint16(a.Table[s+int(a.Classes[c]):]))
	}
	return binary.LittleEndian.Uint64(a.Table[s+a.Result:])
}

// TooLarge is the error for an automaton that would need too many states.
type TooLarge struct{ Patterns []Pattern }

func (e *TooLarge) Error() string {
	if len(e.Patterns) == 1 {
		return fmt.Sprintf("the automaton for %q is too large", e.Patterns[0].Text)
	}
	return fmt.Sprintf("the automaton for %d patterns together is too large", len(e.Patterns))
}

// Compile returns the automaton of up to MaxPatterns patterns. NUL, which ends a text
// in the traced system, settles every state.
func Compile(patterns []Pattern) (*Automaton, error) {
	b, err := newBuilder(patterns)
	if err != nil {
		return nil, err
	}
	if !b.build() {
		return nil, &TooLarge{patterns}
	}
	block, n := minimize(b.next, b.result)
	a := layOut(b, block, n)
	if a == nil {
		return nil, &TooLarge{patterns}
	}
	return a, nil
}

// minimize groups states that no text distinguishes. It returns the group of each
// state, numbered from 0, and the number of groups. It splits groups by the successors
// for each byte until no group can be split (Moore's algorithm).
func minimize(next [][256]int32, result []uint64) (block []int32, n int) {
	block = make([]int32, len(next))
	byResult := map[uint64]int32{}
	for s, r := range result {
		id, ok := byResult[r]
		if !ok {
			id = int32(len(byResult))
			byResult[r] = id
		}
		block[s] = id
	}
	n = len(byResult)
	_, bytes := classesOf(next)
	key := make([]byte, 4*(len(bytes)+1))
	for {
		ids := make(map[string]int32, n)
		split := make([]int32, len(next))
		for s := range next {
			binary.LittleEndian.PutUint32(key, uint32(block[s]))
			for i, c := range bytes {
				binary.LittleEndian.PutUint32(key[4*i+4:], uint32(block[next[s][c]]))
			}
			id, ok := ids[string(key)]
			if !ok {
				id = int32(len(ids))
				ids[string(key)] = id
			}
			split[s] = id
		}
		block = split
		if len(ids) == n {
			return block, n
		}
		n = len(ids)
	}
}

// classesOf numbers the sets of bytes that lead from each state to the same state, in the
// order of their first bytes. It also returns those bytes.
func classesOf(next [][256]int32) (class [256]int, first []int) {
	ids := map[string]int{}
	column := make([]byte, 4*len(next))
	for c := range 256 {
		for s := range next {
			binary.LittleEndian.PutUint32(column[4*s:], uint32(next[s][c]))
		}
		id, ok := ids[string(column)]
		if !ok {
			id = len(first)
			ids[string(column)] = id
			first = append(first, c)
		}
		class[c] = id
	}
	return class, first
}

// layOut returns the table of the groups that a text can reach, or nil if it is too
// large.
func layOut(b *builder, block []int32, n int) *Automaton {
	next := make([][256]int32, n)
	result := make([]uint64, n)
	for s, id := range block {
		result[id] = b.result[s]
		for c := range 256 {
			next[id][c] = block[b.next[s][c]]
		}
	}
	class, first := classesOf(next)
	a := &Automaton{States: n, Result: (2*len(first) + 7) / 8 * 8}
	a.Stride = a.Result + 8
	if n*a.Stride > maxTable {
		return nil
	}
	settled := func(s int) bool {
		return !slices.ContainsFunc(first, func(c int) bool { return next[s][c] != int32(s) })
	}
	row := make([]int, n)
	at := 0
	for _, last := range []bool{false, true} {
		if last {
			a.Settled = at
		}
		for s := range n {
			if settled(s) == last {
				row[s] = at
				at += a.Stride
			}
		}
	}
	a.Table = make([]byte, n*a.Stride)
	for c := range 256 {
		a.Classes[c] = uint16(2 * class[c])
	}
	for s := range n {
		for i, c := range first {
			binary.LittleEndian.PutUint16(a.Table[row[s]+2*i:], uint16(row[next[s][c]]))
		}
		binary.LittleEndian.PutUint64(a.Table[row[s]+a.Result:], result[s])
	}
	a.Start = row[block[0]]
	return a
}

// Any returns an automaton that determines whether at least one of the patterns
// matches, which sets bit 0 of its result. The number of patterns is not limited.
func Any(patterns []Pattern) (*Automaton, error) {
	a, err := Compile([]Pattern{OneOf(patterns)})
	if err != nil {
		return nil, &TooLarge{patterns}
	}
	return a, nil
}

// OneOf returns a pattern that matches if one of patterns does.
func OneOf(patterns []Pattern) Pattern {
	if len(patterns) == 1 {
		return patterns[0]
	}
	any := &syntax.Regexp{Op: syntax.OpAlternate}
	expr := ""
	for _, p := range patterns {
		any.Sub = append(any.Sub, p.re)
		expr += "\xff" + p.expr // is in no pattern that is valid UTF-8
	}
	return Pattern{Text: patterns[0].Text, expr: expr, re: any}
}
