package runtime

import (
	"math"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/probes"
)

// A kprobe and a kretprobe of the same functions are attached as one where the
// kernel can (a kprobe session): it enters a function's calls once instead of
// twice. The program is both programs, one behind the other, and a kernel
// function says which of the two is meant. It is loaded in addition to them, so
// that they can be attached where it can't be.

// isReturn is the kernel function that tells a session's returns from its entries.
const isReturn = "bpf_session_is_return"

// partner is the kretprobe of the same functions as a kprobe, or nil.
func (s *Session) partner(p *check.Prog) *check.Prog {
	env := s.obj.Checked.Env
	if p.Points[0].Kind.Name != kindKprobe || env.NoFeature[string(probes.FeatKprobeSession)] || !env.Kernel.Has(probes.FeatKprobeSession) {
		return nil
	}
	var found *check.Prog
	for _, q := range s.obj.Checked.Progs {
		switch {
		case q == p || len(q.Points) == 0:
		case q.Points[0].Kind == p.Points[0].Kind && overlap(p, q):
			return nil // blocks run in the order of the script: that would mix them up
		case q.Points[0].Kind.Name == kindKretprobe && overlap(p, q):
			if found != nil || !probes.Session(env, p.Points, q.Points) {
				return nil
			}
			found = q
		}
	}
	return found
}

// overlap reports whether two programs have a function in common.
func overlap(p, q *check.Prog) bool {
	funcs := map[string]bool{}
	for _, at := range p.Points {
		funcs[at.Func] = true
	}
	return slices.ContainsFunc(q.Points, func(at *probes.Point) bool { return funcs[at.Func] })
}

// attachPair attaches a kprobe and its partner as one; false: it could not.
func (s *Session) attachPair(p, ret *check.Prog) bool {
	id, ok := s.obj.Checked.Env.Kernel.Kfunc(isReturn)
	if !ok || returnsValue(p.Body) {
		return false
	}
	entry, exit := s.obj.Spec.Programs[p.Name], s.obj.Spec.Programs[ret.Name]
	spec := entry.Copy()
	if spec.Instructions, ok = joinPrograms(entry.Instructions, exit.Instructions, int64(id)); !ok {
		return false
	}
	spec.AttachType = ebpf.AttachTraceKprobeSession
	prog, err := s.loadSpec(spec)
	if err != nil {
		return false
	}
	link, err := probes.AttachSession(prog, p.Points)
	if err != nil {
		prog.Close()
		return false
	}
	// Nobody needs the two any more.
	s.progs[p.Name].Close()
	s.progs[p.Name] = prog
	s.links = append(s.links, attached{link, nil, p})
	for _, at := range slices.Concat(p.Points, ret.Points) {
		s.attachedTo[newPlace(at)] = true
	}
	return true
}

// returnsValue reports whether a block returns values of its own: in a session
// that of the entry decides whether there will be a return.
func returnsValue(body ast.Node) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if j, ok := n.(*ast.Jump); ok && j.Kind == ast.Return && j.Value != nil {
			found = true
		}
		return !found
	})
	return found
}

// joinPrograms puts two programs behind one another: the first runs where the
// kernel function with this id returns false, the second where it does not. Both
// take the context. false: they have functions of their own, or are too long.
func joinPrograms(entry, exit asm.Instructions, id int64) (asm.Instructions, bool) {
	size := uint64(0)
	for i, ins := range slices.Concat(entry, exit) {
		if ins.Symbol() != "" && i != 0 && i != len(entry) {
			return nil, false
		}
		if i < len(entry) {
			size += ins.Size() / asm.InstructionSize
		}
	}
	if len(entry) == 0 || len(exit) == 0 || size+1 > math.MaxInt16 {
		return nil, false
	}
	skip := asm.JNE.Imm(asm.R0, 0, "")
	skip.Offset = int16(size) + 1
	out := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1).WithSymbol(entry[0].Symbol()),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: id},
		skip,
	}
	for _, part := range []asm.Instructions{entry, exit} {
		out = append(out, asm.Mov.Reg(asm.R1, asm.R6))
		first := len(out)
		out = append(out, part...)
		out[first] = out[first].WithSymbol("")
	}
	return out, true
}
