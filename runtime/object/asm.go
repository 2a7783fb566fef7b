package object

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
)

// Disassembly lists kernel maps and programs in the notation of the kernel's
// verifier log. Each source line is above the instructions compiled from it.
func Disassembly(maps []KernelMap, progs []*Program) string {
	var b bytes.Buffer
	for _, m := range maps {
		fmt.Fprintf(&b, "map %s: %s key %d value %d max %d\n", m.Name, strings.ToLower(m.Type.String()), m.KeySize, m.ValueSize, m.MaxEntries)
	}
	for i, p := range progs {
		if i > 0 || len(maps) > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "prog %s: %d instructions, %d bytes of stack\n", p.Name, len(p.Lines), p.Stack)
		p.disassemble(&b)
	}
	return b.String()
}

func (p *Program) disassemble(b *bytes.Buffer) {
	raw, fn := 0, 0
	last := source.Position{}
	for i, in := range p.Insns {
		if fn < len(p.Funcs) && p.Funcs[fn].First == i {
			fmt.Fprintf(b, "%s:\n", p.Funcs[fn].Name)
			fn++
		}
		if s := p.LineAt(raw); s.IsValid() {
			if at := s.File.Position(s.Start); at.Line != last.Line {
				last = at
				fmt.Fprintf(b, "; %s:%d: %s\n", s.File.Name, at.Line, strings.TrimSpace(s.File.Line(at.Line)))
			}
		}
		fmt.Fprintf(b, "%4d: %s\n", raw, Instruction(in, raw))
		raw++
		if in.OpCode.IsDWordLoad() {
			raw++
		}
	}
}

// LineAt returns the source of instruction raw, numbered as the kernel's verifier
// does.
func (p *Program) LineAt(raw int) source.Span {
	if raw < 0 || raw >= len(p.Lines) {
		return source.Span{}
	}
	return p.Lines[raw]
}

var cSize = map[asm.Size]string{asm.Byte: "u8", asm.Half: "u16", asm.Word: "u32", asm.DWord: "u64"}

var cALU = map[asm.ALUOp]string{
	asm.Add: "+=", asm.Sub: "-=", asm.Mul: "*=", asm.Div: "/=", asm.SDiv: "s/=", asm.Mod: "%=", asm.SMod: "s%=",
	asm.And: "&=", asm.Or: "|=", asm.Xor: "^=", asm.LSh: "<<=", asm.RSh: ">>=", asm.ArSh: "s>>=",
	asm.Mov: "=", asm.MovSX8: "= (s8)", asm.MovSX16: "= (s16)", asm.MovSX32: "= (s32)",
}

var cJump = map[asm.JumpOp]string{
	asm.JEq: "==", asm.JNE: "!=", asm.JLT: "<", asm.JLE: "<=", asm.JGT: ">", asm.JGE: ">=", asm.JSet: "&",
	asm.JSLT: "s<", asm.JSLE: "s<=", asm.JSGT: "s>", asm.JSGE: "s>=",
}

// Instruction returns instruction in, which has the number raw, in the notation of
// the verifier log.
func Instruction(in asm.Instruction, raw int) string {
	op := in.OpCode
	r := func(reg asm.Register, word bool) string {
		if word {
			return fmt.Sprintf("w%d", reg)
		}
		return fmt.Sprintf("r%d", reg)
	}
	src := func(word bool) string {
		if op.Source() == asm.ImmSource {
			return fmt.Sprint(in.Constant)
		}
		return r(in.Src, word)
	}
	switch class := op.Class(); {
	case op.IsDWordLoad():
		switch {
		case in.Src == asm.PseudoMapFD:
			return fmt.Sprintf("r%d = map[%s]", in.Dst, in.Reference())
		case in.Src == asm.PseudoMapValue:
			return fmt.Sprintf("r%d = map[%s] value +%d", in.Dst, in.Reference(), uint64(in.Constant)>>32)
		case in.Src == asm.PseudoFunc:
			return fmt.Sprintf("r%d = func %s", in.Dst, in.Reference())
		}
		return fmt.Sprintf("r%d = %#x ll", in.Dst, uint64(in.Constant))
	case class == asm.LdXClass:
		size := cSize[op.Size()]
		if op.Mode() == asm.MemSXMode {
			size = "s" + size[1:]
		}
		return fmt.Sprintf("r%d = *(%s *)(r%d %+d)", in.Dst, size, in.Src, in.Offset)
	case op.AtomicOp() == asm.Xchg:
		return fmt.Sprintf("r%d = xchg(*(%s *)(r%d %+d), r%d)", in.Src, cSize[op.Size()], in.Dst, in.Offset, in.Src)
	case op.AtomicOp() == asm.CmpXchg:
		return fmt.Sprintf("r0 = cmpxchg(*(%s *)(r%d %+d), r0, r%d)", cSize[op.Size()], in.Dst, in.Offset, in.Src)
	case class == asm.StXClass && op.Mode() == asm.AtomicMode:
		return fmt.Sprintf("lock *(%s *)(r%d %+d) += r%d", cSize[op.Size()], in.Dst, in.Offset, in.Src)
	case class == asm.StXClass:
		return fmt.Sprintf("*(%s *)(r%d %+d) = r%d", cSize[op.Size()], in.Dst, in.Offset, in.Src)
	case class == asm.StClass:
		return fmt.Sprintf("*(%s *)(r%d %+d) = %d", cSize[op.Size()], in.Dst, in.Offset, in.Constant)
	case class == asm.ALUClass || class == asm.ALU64Class:
		word := class == asm.ALUClass
		switch alu := op.ALUOp(); alu {
		case asm.Neg:
			return fmt.Sprintf("%s = -%s", r(in.Dst, word), r(in.Dst, word))
		case asm.Swap:
			return fmt.Sprintf("r%d = be%d r%d", in.Dst, in.Constant, in.Dst)
		default:
			return fmt.Sprintf("%s %s %s", r(in.Dst, word), cALU[alu], src(word))
		}
	}
	switch jump := op.JumpOp(); jump {
	case asm.Exit:
		return "exit"
	case asm.Call:
		switch in.Src {
		case asm.PseudoCall:
			return "call " + in.Reference()
		case asm.PseudoKfuncCall:
			return fmt.Sprintf("call kfunc %d", in.Constant)
		}
		return "call " + HelperName(in.Constant)
	case asm.Ja:
		return fmt.Sprintf("goto %d", raw+1+int(in.Offset))
	default:
		word := op.Class() == asm.Jump32Class
		return fmt.Sprintf("if %s %s %s goto %d", r(in.Dst, word), cJump[jump], src(word), raw+1+int(in.Offset))
	}
}

// HelperName returns the name of the helper with the given number in the kernel's
// spelling, without bpf_.
func HelperName(id int64) string {
	name := strings.TrimPrefix(asm.BuiltinFunc(id).String(), "Fn")
	var b bytes.Buffer
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}
