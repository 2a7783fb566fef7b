package builtins

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/decode"
)

// pinned reports whether the program writes its text to the file of a pinned iterator.
// There is no session that formats it.
func pinned(f Facts) bool {
	ctx := f.Context()
	return ctx != nil && ctx.Pinned
}

// kernelConversion returns the conversion by which the kernel formats a value of type t
// like p, as text. The kernel receives all integers as 64 bits. ok is false if it has no
// such conversion.
func kernelConversion(p *decode.Piece, t *types.Type) (text string, ok bool) {
	switch {
	case p.Verb == 's' && t.Kind == types.String:
		return "s", true
	case strings.IndexByte("diuxXp", byte(p.Verb)) >= 0 && t.IsScalar():
		return "ll" + strings.NewReplacer("X", "x", "p", "x", "i", "d").Replace(string(rune(p.Verb))), true
	}
	return "", false
}

// padding returns the start of a conversion: its flags and width.
func padding(p *decode.Piece) string {
	text := "%"
	for _, f := range []struct {
		set  bool
		flag string
	}{{p.Minus, "-"}, {p.Plus, "+"}, {p.Space, " "}, {p.Zero, "0"}} {
		if f.set {
			text += f.flag
		}
	}
	if p.Width > 0 {
		text += strconv.Itoa(p.Width)
	}
	return text
}

// checkSeq reports the parts of a message that the kernel cannot write to a file.
func checkSeq(c Checker, call *Call, m *message) {
	n := 0
	for i := range m.format.Pieces {
		p := &m.format.Pieces[i]
		if !p.Takes() {
			continue
		}
		n++
		t := call.Args[n].Type
		if _, ok := kernelConversion(p, t); !ok || p.Alt || p.Prec >= 0 || p.Bits != 0 && p.Bits < 64 {
			c.Errorf(call.Args[n].Span, "%s() cannot print a value of type '%s' with %s in a pinned iterator, whose text the kernel formats", call.Def.Name, t, p.Text)
		} else if t.Kind == types.String && c.Kernel().Release().Less(probes.Version{Major: 5, Minor: 12}) {
			c.Errorf(call.Args[n].Span, "%s", probes.NeedsRelease(c.Kernel(), "a string in a pinned iterator", "5.12"))
		}
	}
}

// emitSeq writes a message to the file that the program fills, one conversion at a time.
func emitSeq(g Gen, call *Call, m *message) {
	b := g.B()
	// The context starts with a pointer to struct bpf_iter_meta, which starts with a
	// pointer to the file.
	file := g.Ctx()
	for range 2 {
		file = b.Load(file, 0, 8, false)
		file.Type = ir.PtrBTF
	}
	n := 0
	for i := range m.format.Pieces {
		p := &m.format.Pieces[i]
		if !p.Takes() {
			text := p.Text
			if p.Verb == '%' {
				text = "%"
			}
			if text != "" {
				b.Call(ir.SeqWrite, file, g.Rodata([]byte(text)), b.Const(int64(len(text))))
			}
			continue
		}
		n++
		a := &call.Args[n]
		var v *ir.Value
		if a.Type.IsScalar() {
			v = g.Value(a)
			if strings.IndexByte("xX", byte(p.Verb)) >= 0 && p.Bits == 0 {
				v = b.Extend(v, 4, false)
			}
		} else {
			v = g.Addr(a)
		}
		conversion, _ := kernelConversion(p, a.Type)
		format := append([]byte(padding(p)+conversion), 0)
		data := g.Temp(8)
		b.Store(data, 0, 8, v)
		b.Call(ir.SeqPrintf, file, g.Rodata(format), b.Const(int64(len(format))), data, b.Const(8))
	}
}
