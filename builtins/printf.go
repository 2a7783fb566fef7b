package builtins

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
)

var formatParams = []Param{{Name: "format", Long: true}, {Name: "args", Variadic: true, Counted: true}}

func printf() *Def {
	return &Def{
		Name:   "printf",
		Kind:   Action,
		Params: formatParams,
		Doc: Doc{
			Summary:  "Prints formatted text. Conversions: %d %i %u %o %x %X %c %p %s, %r %rx %rh for buffers and %gr for allocation flags, with flags, width, precision and length modifiers as in C: %x, %X and %o show 32 bits unless a modifier (%lx) says more; %d, %i and %u always show the whole number.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { printf("%-16s %6d %s\n", comm, pid, str(args.filename)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			checkMessage(c, call)
			if m, ok := call.Data.(*message); ok && pinned(c) {
				checkSeq(c, call, m)
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if pinned(g) {
				emitSeq(g, call, call.Data.(*message))
				return nil
			}
			return sendMessage(g, call)
		},
		Records: Records{
			InPinned: true,
			Shows:    true,
			Sends:    []Sent{{Lits: []any{(*object.Message)(nil)}}},
			Handle: func(env Env, rec *object.Record) error {
				env.Out().Printf("printf", renderRecord(env, rec))
				return nil
			},
		},
	}
}

// checkMessage is the Check of an action with a format and its arguments.
func checkMessage(c Checker, call *Call) *types.Type {
	if m := checkFormat(c, call, 0); m != nil {
		call.Data = m
	}
	return types.TVoid
}

// sendMessage is the Emit of an action that checkMessage checks.
func sendMessage(g Gen, call *Call) *ir.Value {
	emitMessage(g, call, call.Data.(*message))
	return nil
}

// maxFormatArgs bounds the arguments of a formatted message.
const maxFormatArgs = 128

// message is a format and the sources of its arguments. Check stores it in Call.Data.
// Events of formatted actions contain its plain data.
type message struct {
	*object.Message
	format *decode.Format // parsed
	send   []int          // arguments of the call that are sent, in the order of the record
}

// checkFormat checks that argument at of the call is a format, and that the arguments
// after it match the format. It returns nil after an error.
func checkFormat(c Checker, call *Call, at int) *message {
	text, ok := wantString(c, call, at)
	if !ok || !c.Final() {
		return nil
	}
	args := call.Args[at+1:]
	m := &message{Message: &object.Message{Format: text}, format: decode.ParseFormat(text)}
	want := m.format.NumArgs()
	switch {
	case len(args) < want:
		c.Errorf(call.Span, "not enough arguments for format string (%d supplied, %d expected)", len(args), want)
		return nil
	case len(args) > want && m.format.Unknown != "":
		c.Errorf(call.Args[at].Span, "unknown conversion %s in the format string", m.format.Unknown)
		return nil
	case len(args) > want:
		c.Errorf(call.Span, "too many arguments for format string (%d supplied, %d expected)", len(args), want)
		return nil
	case len(args) > maxFormatArgs:
		c.Errorf(call.Span, "%s() takes up to %d arguments (%d provided)", call.Def.Name, maxFormatArgs, len(args))
		return nil
	}
	n := 0
	for i := range m.format.Pieces {
		p := &m.format.Pieces[i]
		if !p.Takes() {
			continue
		}
		a := &args[n]
		n++
		switch {
		case p.Verb.Unsupported():
			c.Errorf(call.Span, "unsupported format specifier: %s", p.Verb.Letters())
			return nil
		case a.Type == nil || a.Type.Kind == types.Invalid:
			ok = false
		case !p.Verb.Accepts(a.Type):
			c.Errorf(call.Span, "unsupported format specifier for type '%s': %s", a.Type, p.Verb.Letters())
			ok = false
		}
		if !ok {
			continue
		}
		src := object.MessageArg{Type: a.Type.Decay(), Fixed: litBytes(a), Rec: -1}
		if src.Fixed == nil {
			src.Rec = len(m.send)
			m.send = append(m.send, at+n)
		}
		m.Args = append(m.Args, src)
	}
	if !ok {
		return nil
	}
	return m
}

// litBytes returns a literal argument as a record would contain it, or nil if it is not
// a literal.
func litBytes(a *Arg) []byte {
	switch {
	case a.Lit == nil:
		return nil
	case a.Type.Kind == types.String && a.Lit.IsStr:
		b := make([]byte, a.Type.Size)
		copy(b[:max(len(b)-1, 0)], a.Lit.Str)
		return b
	case a.Type.IsInteger() && !a.Lit.IsStr:
		b := binary.NativeEndian.AppendUint64(nil, uint64(a.Lit.Int))
		if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 { // big-endian: the low bytes come last
			return b[8-a.Type.Size:]
		}
		return b[:a.Type.Size]
	}
	return nil
}

// emitMessage sends the arguments of a formatted action that are not known at compile
// time.
func emitMessage(g Gen, call *Call, m *message) {
	args, ts := make([]*Arg, len(m.send)), make([]*types.Type, len(m.send))
	for i, n := range m.send {
		args[i], ts[i] = &call.Args[n], call.Args[n].Type.Decay()
	}
	g.Send(call, args, ts, []any{m.Message})
}

// renderRecord returns the text of a formatted action's record. It parses the
// format at the first record of an event.
func renderRecord(env Env, rec *object.Record) string {
	m, ok := rec.Parsed.(*message)
	if !ok {
		data := rec.Lits[0].(*object.Message)
		m = &message{Message: data, format: decode.ParseFormat(data.Format)}
		rec.Parsed = m
	}
	var buf [512]byte
	return string(m.render(env.Decoder(), rec, buf[:0]))
}

// render appends the text of a record to dst.
func (m *message) render(d *decode.Decoder, rec *object.Record, dst []byte) []byte {
	n := 0
	for i := range m.format.Pieces {
		p := &m.format.Pieces[i]
		switch {
		case p.Verb == 0:
			dst = append(dst, p.Text...)
		case p.Verb == '%':
			dst = append(dst, '%')
		default:
			src := &m.Args[n]
			n++
			data := src.Fixed
			if src.Rec >= 0 {
				data = rec.Arg(src.Rec)
			}
			dst = p.Append(d, dst, src.Type, data)
		}
	}
	return dst
}

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
		} else if t.Kind == types.String && !c.Kernel().Has(probes.FeatPinnedStrings) {
			c.Errorf(call.Args[n].Span, "%s", probes.Needs(c.Kernel(), "a string in a pinned iterator", probes.FeatPinnedStrings))
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
