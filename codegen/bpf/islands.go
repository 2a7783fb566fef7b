package bpf

import (
	"fmt"
	"sort"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
)

// A jump can cross at most 32,767 instructions. One that must go farther uses islands:
// jumps in the middle of the code, each within reach of the previous one, which the
// surrounding code skips. (Linux 6.6 has a longer jump, but no longer conditional jump.
// Islands work on all kernels.)
//
// The verifier replaces some instructions by several: calls that it inlines, loads from
// the context, divisions. Such an instruction counts as the maximum number of
// replacements.
const (
	jumpReach  = 30_000 // the rest is for the islands in between
	islandStep = 6_000  // instructions between places for islands
)

// patched returns the maximum number of instructions by which the kernel may replace
// in.
func patched(in asm.Instruction) int {
	switch class := in.OpCode.Class(); {
	case in.OpCode.IsDWordLoad():
		return 2
	case class.IsJump() && in.OpCode.JumpOp() == asm.Call:
		return 10
	case class.IsLoad():
		return 3
	case class.IsALU():
		switch in.OpCode.ALUOp() {
		case asm.Div, asm.Mod, asm.SDiv, asm.SMod:
			return 6
		}
	}
	return 1
}

// island is a position for jumps, before an instruction.
type island struct {
	insn, raw int // of the instruction after it, before islands were added
	pos       int // as jumps count
	to        []*mblock
	at        map[*mblock]int // index in to
	next      []*island       // by index in to: where its jump goes to; nil: the block itself
	start     int             // raw number of its first jump to a block, afterwards
}

// shore records the positions at which islands may be: between machine instructions, at
// a distance from each other.
func (e *emitter) shore() {
	if n := len(e.isles); n == 0 || e.reach-e.isles[n-1].pos >= islandStep {
		e.isles = append(e.isles, &island{insn: len(e.c.insns), raw: e.raw, pos: e.reach})
	}
}

// link sets the offsets of all jumps.
func (e *emitter) link() error {
	via := make([]*island, len(e.jumps))
	far := false
	for i := range e.jumps {
		j := &e.jumps[i]
		if d := e.far[j.to] - j.far; d <= jumpReach && d >= -jumpReach {
			e.c.insns[j.insn].Offset = int16(e.starts[j.to] - j.raw)
			continue
		}
		var err error
		if via[i], err = e.route(j.far, j.to); err != nil {
			return err
		}
		far = true
	}
	if !far {
		return nil
	}
	return e.insertIslands(via)
}

// route adds the island jumps that a jump from position from needs to reach a block,
// and returns the first island.
func (e *emitter) route(from int, to *mblock) (*island, error) {
	target := e.far[to]
	var best *island
	if target > from {
		i := sort.Search(len(e.isles), func(i int) bool { return e.isles[i].pos > min(from+jumpReach, target) })
		if i > 0 && e.isles[i-1].pos > from {
			best = e.isles[i-1]
		}
	} else {
		i := sort.Search(len(e.isles), func(i int) bool { return e.isles[i].pos >= max(from-jumpReach, target) })
		if i < len(e.isles) && e.isles[i].pos < from {
			best = e.isles[i]
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%d instructions, more than a jump can cross", e.raw)
	}
	if _, ok := best.at[to]; ok {
		return best, nil
	}
	if best.at == nil {
		best.at = map[*mblock]int{}
	}
	k := len(best.to)
	best.at[to], best.to, best.next = k, append(best.to, to), append(best.next, nil)
	if d := target - best.pos; d > jumpReach || d < -jumpReach {
		next, err := e.route(best.pos, to)
		if err != nil {
			return nil, err
		}
		best.next[k] = next
	}
	return best, nil
}

// fallsThrough reports whether the instruction after in may run next.
func fallsThrough(in asm.Instruction) bool {
	if !in.OpCode.Class().IsJump() {
		return true
	}
	op := in.OpCode.JumpOp()
	return op != asm.Ja && op != asm.Exit
}

// insertIslands inserts the islands in use into the code. via holds the first island
// for each jump, or nil.
func (e *emitter) insertIslands(via []*island) error {
	ja := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja)}
	old := e.c
	moved := make([]int, len(old.insns)) // new index of each instruction
	after := make([]int, len(old.insns)) // raw number of what follows it
	starts := map[int]int{}              // raw number of a block's start, before → now
	for _, b := range e.order {
		starts[e.starts[b]] = 0
	}
	c := &code{stack: old.stack, insns: make(asm.Instructions, 0, len(old.insns)+len(e.isles))}
	add := func(in asm.Instruction, rare bool, spans ...source.Span) {
		c.insns, c.spans = append(c.insns, in), append(c.spans, spans...)
		for range spans {
			c.rare = append(c.rare, rare)
		}
	}
	var jumps []int // of islands: index of each
	isles, raw := e.isles, 0
	for i, in := range old.insns {
		if len(isles) > 0 && isles[0].insn == i {
			if is := isles[0]; len(is.to) > 0 {
				pos := old.spans[raw]
				if i == 0 || fallsThrough(old.insns[i-1]) { // otherwise the kernel refuses it as unreachable
					over := ja
					over.Offset = int16(len(is.to))
					add(over, old.rare[raw], pos)
				}
				is.start = len(c.spans)
				for range is.to {
					jumps = append(jumps, len(c.insns))
					add(ja, old.rare[raw], pos)
				}
			}
			isles = isles[1:]
		}
		if _, ok := starts[raw]; ok {
			starts[raw] = len(c.spans)
		}
		n := 1
		if in.OpCode.IsDWordLoad() {
			n = 2
		}
		moved[i] = len(c.insns)
		add(in, old.rare[raw], old.spans[raw:raw+n]...)
		raw += n
		after[i] = len(c.spans)
	}
	set := func(insn, from, to int) error {
		if !fitsS16(int64(to - from)) {
			return fmt.Errorf("%d instructions, more than a jump can cross", len(c.spans))
		}
		c.insns[insn].Offset = int16(to - from)
		return nil
	}
	for i, j := range e.jumps {
		to := starts[e.starts[j.to]]
		if is := via[i]; is != nil {
			to = is.start + is.at[j.to]
		}
		if err := set(moved[j.insn], after[j.insn], to); err != nil {
			return err
		}
	}
	for _, is := range e.isles {
		for k, b := range is.to {
			to := starts[e.starts[b]]
			if next := is.next[k]; next != nil {
				to = next.start + next.at[b]
			}
			if err := set(jumps[0], is.start+k+1, to); err != nil {
				return err
			}
			jumps = jumps[1:]
		}
	}
	e.c = c
	return nil
}
