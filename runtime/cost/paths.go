package cost

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// function returns the cost of the paths through the function whose first instruction has
// the index first. It marks the code that is on all of them.
func (e *estimate) function(first int) way {
	if w, ok := e.ways[first]; ok {
		return w
	}
	e.ways[first] = way{} // functions do not call themselves
	g := e.graph(first)
	if first == 0 {
		e.markAlways(g)
	}
	w := e.shortestAndLongest(g)
	e.ways[first] = w
	return w
}

// graph is the control flow of a function. Edges back to the start of a loop are replaced
// by edges to the exits of the loop. Instructions are numbered from the start of the
// function.
type graph struct {
	first int
	succs [][]int // of each instruction that is reached; nil: none
	order []int   // instructions that are reached, each before its successors
}

func (e *estimate) graph(first int) *graph {
	end := len(e.p.Insns)
	for _, f := range e.p.Funcs {
		if f.First > first {
			end = min(end, f.First)
		}
	}
	g := &graph{first: first, succs: make([][]int, end-first)}
	for i := range g.succs {
		g.succs[i] = e.next(first+i, first, end)
	}
	back := g.sort()
	drop := map[int][]int{} // by the source of an edge
	for _, edge := range back {
		drop[edge[0]] = append(drop[edge[0]], edge[1])
	}
	for from, heads := range drop {
		g.succs[from] = slices.DeleteFunc(slices.Clone(g.succs[from]), func(to int) bool { return slices.Contains(heads, to) })
	}
	e.markLoops(g, back)
	g.sort()
	return g
}

// sort orders the instructions that are reached. It returns the edges that lead back.
func (g *graph) sort() (back [][2]int) {
	const fresh, open, done = 0, 1, 2
	state := make([]byte, len(g.succs))
	type frame struct {
		at   int
		next []int
	}
	stack := []frame{{0, g.succs[0]}}
	state[0] = open
	g.order = g.order[:0]
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.next) == 0 {
			state[top.at] = done
			g.order = append(g.order, top.at)
			stack = stack[:len(stack)-1]
			continue
		}
		to := top.next[0]
		top.next = top.next[1:]
		switch state[to] {
		case open:
			back = append(back, [2]int{top.at, to})
		case fresh:
			state[to] = open
			stack = append(stack, frame{to, g.succs[to]})
		}
	}
	slices.Reverse(g.order)
	return back
}

// next returns the instructions that may run after instruction i of the function from
// first to end.
func (e *estimate) next(i, first, end int) []int {
	in := e.p.Insns[i]
	var to []int
	if !isJump(in) {
		to = append(to, i+1)
	} else if e.neverTaken(i) {
		to = append(to, i+1)
	} else if op := in.OpCode.JumpOp(); op != asm.Exit {
		if op != asm.Ja {
			to = append(to, i+1)
		}
		if j, ok := e.index[e.raw[i]+1+int(in.Offset)]; ok {
			to = append(to, j)
		}
	}
	kept := to[:0]
	for _, j := range to {
		if j >= first && j < end {
			kept = append(kept, j-first)
		}
	}
	return kept
}

// neverTaken reports whether the jump i tests whether an element of an array exists. All
// elements exist, but the verifier requires the test.
func (e *estimate) neverTaken(i int) bool {
	in := e.p.Insns[i]
	if in.OpCode.JumpOp() != asm.JEq || in.OpCode.Source() != asm.ImmSource || in.Constant != 0 {
		return false
	}
	for j := i - 1; j >= 0 && j >= i-2; j-- {
		if before := e.p.Insns[j]; before.IsBuiltinCall() {
			kind := e.kinds[e.mapOf(j)]
			return asm.BuiltinFunc(before.Constant) == asm.FnMapLookupElem && (kind == ebpf.Array || kind == ebpf.PerCPUArray)
		}
	}
	return false
}

// isJump reports whether an instruction jumps or ends the function.
func isJump(in asm.Instruction) bool {
	return in.OpCode.Class().IsJump() && in.OpCode.JumpOp() != asm.Call
}

// markLoops multiplies the iterations of the instructions in loops, and makes the last
// instruction of each loop lead to its exits. back has the edges to the starts of loops.
func (e *estimate) markLoops(g *graph, back [][2]int) {
	if len(back) == 0 {
		return
	}
	preds := make([][]int, len(g.succs))
	for i, list := range g.succs {
		for _, j := range list {
			preds[j] = append(preds[j], i)
		}
	}
	looped := make([]bool, len(g.succs))
	var loops []loop
	for _, edge := range back {
		if e.rare(g.first + edge[0]) {
			continue // a second attempt after a failure
		}
		l := loop{from: edge[0], head: edge[1], in: map[int]bool{edge[0]: true, edge[1]: true}}
		for work := []int{l.from}; len(work) > 0; {
			i := work[len(work)-1]
			work = work[:len(work)-1]
			for _, p := range preds[i] {
				if i != l.head && !l.in[p] {
					l.in[p] = true
					work = append(work, p)
				}
			}
		}
		for i := range l.in {
			looped[i] = true
		}
		loops = append(loops, l)
	}
	leave := map[int][]int{} // by the last instruction of a loop
	for _, l := range loops {
		for _, to := range e.exits(g, loops, l, 0) {
			if !slices.Contains(leave[l.from], to) {
				leave[l.from] = append(leave[l.from], to)
			}
		}
	}
	for from, to := range leave {
		g.succs[from] = append(slices.Clone(g.succs[from]), to...)
	}
	for i, in := range looped {
		if in {
			e.repeat(g.first + i)
		}
	}
}

// loop is a loop whose last instruction, from, leads back to its first one, head. in has
// all of them.
type loop struct {
	from, head int
	in         map[int]bool
}

// exits returns the instructions to which a loop exits. If such an instruction is the
// start of an enclosing loop, its exits are used instead. depth counts the enclosing
// loops.
func (e *estimate) exits(g *graph, loops []loop, l loop, depth int) (list []int) {
	const deepest = 16
	if depth > deepest {
		return nil
	}
	for i := range l.in {
		for _, to := range g.succs[i] {
			if !l.in[to] && !e.rare(g.first+to) {
				list = append(list, to)
			}
		}
	}
	for _, outer := range loops {
		if l.in[outer.from] && !l.in[outer.head] {
			list = append(list, e.exits(g, loops, outer, depth+1)...)
		}
	}
	return list
}

// repeat records that instruction i is part of a loop.
func (e *estimate) repeat(i int) {
	if e.unit[i] == len(e.units)-1 {
		return // code for all of the program, such as its end
	}
	p := e.parts[e.unit[i]]
	p.Loop = true
	if p.Unit.Turns <= 1 { // a loop in the code of a builtin is not a loop of the script
		e.open = true
	}
	e.turns[i] = max(p.Unit.Turns, 1)
}

// markAlways marks the parts that are on every path through main.
func (e *estimate) markAlways(g *graph) {
	place := make([]int, len(g.succs))
	for n, i := range g.order {
		place[i] = n
	}
	reach := 0 // the farthest target of an edge from an earlier instruction
	for n, i := range g.order {
		if reach <= n && !e.rare(g.first+i) {
			e.parts[e.unit[g.first+i]].always++
		}
		usual := 0
		for _, j := range g.succs[i] {
			if !e.rare(g.first + j) {
				usual++
				reach = max(reach, place[j])
			}
		}
		if usual == 0 && !e.rare(g.first+i) {
			reach = len(g.order) // the program ends here
		}
	}
}

// shortestAndLongest returns the costs of the cheapest and the most expensive path
// through g without failure paths.
func (e *estimate) shortestAndLongest(g *graph) way {
	ways := make([]way, len(g.succs))
	for n := len(g.order) - 1; n >= 0; n-- {
		i := g.order[n]
		rest, some := way{}, false
		for _, j := range g.succs[i] {
			if e.rare(g.first+j) && !e.rare(g.first+i) {
				continue
			}
			w := ways[j]
			if some {
				w = way{min(w.least, rest.least), max(w.most, rest.most)}
			}
			rest, some = w, true
		}
		own, called := e.ns[g.first+i], e.called(g.first+i)
		ways[i] = way{
			own + called.least + rest.least,
			(own+called.most)*float64(e.turns[g.first+i]) + rest.most,
		}
	}
	return ways[0]
}

// called returns the cost of the function that instruction i calls, directly or through
// the kernel.
func (e *estimate) called(i int) way {
	in := e.p.Insns[i]
	if in.IsFunctionCall() {
		if first, ok := e.named(in.Reference()); ok && e.through[first] == 0 {
			return e.function(first)
		}
		return way{}
	}
	if !in.IsBuiltinCall() || !callsBack(asm.BuiltinFunc(in.Constant)) {
		return way{}
	}
	fn, found := e.argument(i, asm.R2, func(in asm.Instruction) bool { return in.Src == asm.PseudoFunc && in.OpCode.IsDWordLoad() })
	first, ok := e.named(fn.Reference())
	if !found || !ok {
		e.open = true
		return way{}
	}
	w := e.function(first)
	turns := 0
	for j := first; j < len(e.p.Insns) && (j == first || e.p.Insns[j].Symbol() == ""); j++ {
		if !e.rare(j) && e.unit[j] != len(e.units)-1 {
			e.parts[e.unit[j]].Loop = true
			turns = max(turns, e.parts[e.unit[j]].Unit.Turns)
		}
	}
	if turns == 0 {
		turns, e.open = 1, true
	}
	return way{0, (w.most + turnNs) * float64(turns)}
}

// callsBack reports whether a helper calls a function of the program.
func callsBack(id asm.BuiltinFunc) bool { return id == asm.FnLoop || id == asm.FnForEachMapElem }

// named returns the index of the first instruction of a function.
func (e *estimate) named(name string) (int, bool) {
	for _, f := range e.p.Funcs {
		if f.Name == name {
			return f.First, true
		}
	}
	return 0, false
}
