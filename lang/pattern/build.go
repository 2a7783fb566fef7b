package pattern

import (
	"encoding/binary"
	"fmt"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Limits for the construction, which ensure that it ends in a fraction of a second.
const (
	maxInsts  = 20000
	maxStates = 1 << 13 // most of them after incomplete characters
	maxWhole  = 800     // states after complete ones
	maxWork   = 1 << 24 // instructions followed
)

// builder creates the states of an automaton by the subset construction.
//
// A position is a set of instructions of the patterns' programs that could come next,
// with the patterns that have matched so far. A state is a position and the first bytes
// of a character that is not complete.
type builder struct {
	patterns []Pattern
	insts    []syntax.Inst // of all patterns; Out and Arg are indexes here
	pattern  []uint8       // the pattern of each instruction
	starts   []uint32
	all      uint64
	asks     syntax.EmptyOp // the assertions in any pattern

	// Characters from bounds[i] up to bounds[i+1] are alike to all patterns.
	bounds []rune
	bad    int // the interval of U+FFFD

	// begins has what each byte does between two characters, and alike the first byte
	// that does the same.
	begins [256]beginning
	alike  [256]uint8

	positions []*position
	positID   map[string]int32

	states  []state
	stateID map[state]int32
	whole   int // states without an incomplete character
	next    [][256]int32
	result  []uint64

	marks []uint32 // for each instruction, the closure that has seen it last
	mark  uint32
	stack []uint32
	work  int
}

type position struct {
	insts   []uint64
	before  rune // representative of the characters before that assertions do not distinguish; -1: none
	matched uint64
	steps   []int32 // by interval: 1 more than the position after it, or 0 if that is not known
	whole   int32   // 1 more than the state without an incomplete character, or 0
	others  int32   // 2 more than what others returns, or 0 if that is not known
}

// state is a position and the bytes of an incomplete character.
type state struct {
	pos     int32
	pending pending
}

// pending is the start of a character of several bytes. If the patterns do not
// distinguish the characters that it may become, its bytes do not matter, and all such
// starts are the same.
type pending struct {
	n, left  int8 // bytes so far, and to come
	low, top byte // the range of the next byte; 0: 0x80 to 0xbf
	value    rune // the bits so far, -1-i if it can only become one of interval i
}

// beginning is the effect of a byte between two characters: it starts a character of
// several bytes if pending is set, otherwise it is a character of an interval itself.
type beginning struct {
	pending  pending
	interval int
}

func newBuilder(patterns []Pattern) (*builder, error) {
	b := &builder{patterns: patterns, positID: map[string]int32{}, stateID: map[state]int32{}}
	if len(patterns) > MaxPatterns {
		panic(fmt.Sprintf("pattern: %d patterns", len(patterns)))
	}
	for i, p := range patterns {
		b.all |= 1 << i
		prog, err := syntax.Compile(p.re.Simplify())
		if err != nil {
			return nil, err
		}
		base := uint32(len(b.insts))
		if len(b.insts)+len(prog.Inst) > maxInsts {
			return nil, &TooLarge{patterns}
		}
		b.starts = append(b.starts, base+uint32(prog.Start))
		for _, in := range prog.Inst {
			switch in.Op {
			case syntax.InstEmptyWidth:
				b.asks |= syntax.EmptyOp(in.Arg)
			case syntax.InstAlt, syntax.InstAltMatch:
				in.Arg += base
			}
			in.Out += base
			b.insts = append(b.insts, in)
			b.pattern = append(b.pattern, uint8(i))
		}
	}
	b.marks = make([]uint32, len(b.insts))
	b.divide()
	first := map[beginning]uint8{}
	for c := range 256 {
		g := b.begin(byte(c))
		if _, ok := first[g]; !ok {
			first[g] = uint8(c)
		}
		b.begins[c], b.alike[c] = g, first[g]
	}
	return b, nil
}

const (
	anyLine = syntax.EmptyBeginLine | syntax.EmptyEndLine
	anyWord = syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary
)

// divide finds the intervals of characters that no pattern distinguishes.
func (b *builder) divide() {
	at := map[rune]bool{0: true, 1: true, utf8.RuneSelf: true, 0x800: true, 0x10000: true, 0xd800: true, 0xe000: true}
	add := func(lo, hi rune) { at[lo], at[hi+1] = true, true }
	add(utf8.RuneError, utf8.RuneError)
	if b.asks&anyLine != 0 {
		add('\n', '\n')
	}
	if b.asks&anyWord != 0 {
		for _, r := range []string{"AZ", "az", "09", "__"} {
			add(rune(r[0]), rune(r[1]))
		}
	}
	for i := range b.insts {
		switch in := &b.insts[i]; in.Op {
		case syntax.InstRuneAnyNotNL:
			add('\n', '\n')
		case syntax.InstRune, syntax.InstRune1:
			if len(in.Rune) == 1 {
				r := in.Rune[0]
				add(r, r)
				if syntax.Flags(in.Arg)&syntax.FoldCase != 0 {
					for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
						add(o, o)
					}
				}
				continue
			}
			for j := 0; j+1 < len(in.Rune); j += 2 {
				add(in.Rune[j], in.Rune[j+1])
			}
		}
	}
	delete(at, unicode.MaxRune+1)
	// The binary has a function that sorts numbers of this type, and needs none for runes.
	var starts []uint64
	for r := range at {
		starts = append(starts, uint64(r))
	}
	slices.Sort(starts)
	for _, r := range starts {
		b.bounds = append(b.bounds, rune(r))
	}
	b.bad = b.interval(utf8.RuneError)
}

// interval returns the number of the interval of r.
//
//go:noinline
func (b *builder) interval(r rune) int {
	i, found := slices.BinarySearch(b.bounds, r)
	if !found {
		i--
	}
	return i
}

// build makes all states, starting with state 0. It returns false if there are too many.
func (b *builder) build() bool {
	b.state(b.position(&position{before: -1}), pending{})
	for s := 0; s < len(b.states); s++ {
		if len(b.states) > maxStates || b.whole > maxWhole || b.work > maxWork {
			return false
		}
		b.next = append(b.next, [256]int32{})
		st := b.states[s]
		end := st.pos
		for range st.pending.n {
			end = b.step(end, b.bad)
		}
		_, matched := b.closure(b.positions[end], -1)
		b.result = append(b.result, matched)
		row := &b.next[s]
		for c := range 256 {
			if first := b.sameAs(st, byte(c)); int(first) < c {
				row[c] = row[first]
			} else {
				row[c] = b.read(st, byte(c))
			}
		}
		row[0] = b.settled(matched)
	}
	return true
}

// sameAs returns the first byte, or an early one, that leads from s to the same state as
// c.
func (b *builder) sameAs(s state, c byte) byte {
	if b.positions[s.pos].before == -2 {
		return 0
	}
	first := b.alike[c]
	if p := s.pending; p.left > 0 {
		lo, hi := p.continued()
		switch {
		case lo <= c && c <= hi && p.value < 0:
			return lo
		case lo <= c && c <= hi, lo <= first && first <= hi:
			return c
		}
	}
	return first
}

// continued returns the bytes that continue the character.
func (p *pending) continued() (lo, hi byte) {
	if p.low != 0 {
		return p.low, p.top
	}
	return 0x80, 0xbf
}

// settled returns the state in which the text has ended.
func (b *builder) settled(matched uint64) int32 {
	return b.state(b.position(&position{before: -2, matched: matched}), pending{})
}

// read returns the successor of s for byte c.
func (b *builder) read(s state, c byte) int32 {
	if b.positions[s.pos].before == -2 {
		return b.state(s.pos, s.pending)
	}
	p := s.pending
	if p.left > 0 {
		lo, hi := p.continued()
		if lo <= c && c <= hi {
			p.n, p.left, p.low, p.top = p.n+1, p.left-1, 0, 0
			if p.value >= 0 {
				p.value = p.value<<6 | rune(c&0x3f)
			}
			return b.advance(s.pos, p)
		}
		// Each byte so far is a bad character, and c starts anew.
		for range p.n {
			s.pos = b.step(s.pos, b.bad)
		}
	}
	g := &b.begins[c]
	if g.pending.left == 0 {
		return b.state(b.step(s.pos, g.interval), pending{})
	}
	if to := b.others(s.pos); to >= 0 {
		return b.state(to, pending{})
	}
	return b.state(s.pos, g.pending)
}

// others returns the position after any number of characters that are not ASCII, if it is
// the same for all of them, or -1. No byte of such a character has to be remembered then,
// which leaves few states of the usual patterns.
func (b *builder) others(pos int32) int32 {
	p := b.positions[pos]
	if p.others == 0 {
		to := b.step(pos, b.bad)
		for i := b.interval(utf8.RuneSelf); i < len(b.bounds); i++ {
			if b.step(pos, i) != to || b.step(to, i) != to {
				to = -1
				break
			}
		}
		p.others = to + 2
	}
	return p.others - 2
}

// begin returns the effect of byte c between two characters.
func (b *builder) begin(c byte) beginning {
	p := pending{n: 1}
	switch {
	case c < utf8.RuneSelf:
		return beginning{interval: b.interval(rune(c))}
	case c >= 0xc2 && c <= 0xdf:
		p.left, p.value = 1, rune(c&0x1f)
	case c >= 0xe0 && c <= 0xef:
		p.left, p.value = 2, rune(c&0xf)
		switch c {
		case 0xe0:
			p.low, p.top = 0xa0, 0xbf
		case 0xed:
			p.low, p.top = 0x80, 0x9f
		}
	case c >= 0xf0 && c <= 0xf4:
		p.left, p.value = 3, rune(c&7)
		switch c {
		case 0xf0:
			p.low, p.top = 0x90, 0xbf
		case 0xf4:
			p.low, p.top = 0x80, 0x8f
		}
	default:
		return beginning{interval: b.bad}
	}
	return beginning{pending: b.narrow(p)}
}

// advance returns the state after the bytes of p, which may complete a character.
func (b *builder) advance(pos int32, p pending) int32 {
	if p.left == 0 {
		i := int(-1 - p.value)
		if p.value >= 0 {
			i = b.interval(p.value)
		}
		return b.state(b.step(pos, i), pending{})
	}
	return b.state(pos, b.narrow(p))
}

// narrow returns p without the bits so far if the bytes to come cannot change the
// interval of the character.
func (b *builder) narrow(p pending) pending {
	if p.value >= 0 {
		shift := 6 * uint(p.left)
		lo, hi := p.value<<shift, p.value<<shift|(1<<shift-1)
		if p.low != 0 {
			next := 6 * (uint(p.left) - 1)
			lo, hi = p.value<<shift|rune(p.low&0x3f)<<next, p.value<<shift|rune(p.top&0x3f)<<next|(1<<next-1)
		}
		if i := b.interval(lo); i == b.interval(hi) {
			p.value = -1 - rune(i)
		}
	}
	return p
}

// state returns the number of a state.
//
//go:noinline
func (b *builder) state(pos int32, p pending) int32 {
	whole := &b.positions[pos].whole
	if p.n == 0 && *whole > 0 {
		return *whole - 1
	}
	s := state{pos, p}
	id, ok := b.stateID[s]
	if !ok {
		id = int32(len(b.states))
		b.stateID[s] = id
		b.states = append(b.states, s)
	}
	if p.n == 0 {
		b.whole++
		*whole = id + 1
	}
	return id
}

// position returns the number of a position.
func (b *builder) position(p *position) int32 {
	slices.Sort(p.insts)
	key := make([]byte, 12, 12+4*len(p.insts))
	binary.LittleEndian.PutUint32(key, uint32(p.before))
	binary.LittleEndian.PutUint64(key[4:], p.matched)
	for _, i := range p.insts {
		key = binary.LittleEndian.AppendUint32(key, uint32(i))
	}
	id, ok := b.positID[string(key)]
	if !ok {
		id = int32(len(b.positions))
		b.positID[string(key)] = id
		p.steps = make([]int32, len(b.bounds))
		b.positions = append(b.positions, p)
	}
	return id
}

// step returns the position after a character of an interval.
func (b *builder) step(pos int32, interval int) int32 {
	p := b.positions[pos]
	if to := p.steps[interval]; to > 0 {
		return to - 1
	}
	r := b.bounds[interval]
	insts, matched := b.closure(p, r)
	q := &position{matched: matched, before: b.context(r)}
	if matched == b.all { // nothing can change any more
		q.before = -2
	} else {
		b.mark++
		for _, i := range insts {
			in := &b.insts[i]
			if matched>>b.pattern[i]&1 == 0 && b.marks[in.Out] != b.mark && in.MatchRune(r) {
				b.marks[in.Out] = b.mark
				q.insts = append(q.insts, uint64(in.Out))
			}
		}
	}
	to := b.position(q)
	p.steps[interval] = to + 1
	return to
}

// context returns a representative of the characters that no assertion distinguishes
// from r.
func (b *builder) context(r rune) rune {
	switch {
	case b.asks&anyLine != 0 && r == '\n':
		return '\n'
	case b.asks&anyWord != 0 && syntax.IsWordChar(r):
		return 'a'
	}
	return ' '
}

// closure follows the instructions that read nothing, between the characters p and r; r
// is -1 at the end of the text. It returns the instructions that read a character, and
// the patterns that match.
func (b *builder) closure(p *position, r rune) (reading []uint32, matched uint64) {
	matched = p.matched
	if p.before == -2 {
		return nil, matched
	}
	holds := syntax.EmptyOpContext(p.before, r)
	b.mark++
	push := func(i uint32) {
		if b.marks[i] != b.mark {
			b.marks[i] = b.mark
			b.stack = append(b.stack, i)
		}
	}
	for _, i := range p.insts {
		push(uint32(i))
	}
	for n, i := range b.starts { // a match may start at each place
		if matched>>n&1 == 0 {
			push(i)
		}
	}
	for len(b.stack) > 0 {
		i := b.stack[len(b.stack)-1]
		b.stack = b.stack[:len(b.stack)-1]
		b.work++
		switch in := &b.insts[i]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			push(in.Out)
			push(in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			push(in.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^holds == 0 {
				push(in.Out)
			}
		case syntax.InstMatch:
			matched |= 1 << b.pattern[i]
		case syntax.InstFail:
		default:
			reading = append(reading, i)
		}
	}
	return reading, matched
}
