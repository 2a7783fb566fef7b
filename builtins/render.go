package builtins

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// maxFormatArgs is how many arguments a formatted message can have.
const maxFormatArgs = 128

// message is a format with the places its arguments come from. Check leaves it
// in Call.Data; the part that is data is what a formatted action's event carries.
type message struct {
	*object.Message
	format *Format // parsed
	send   []int   // arguments of the call that are sent, in the order of the record
}

// checkFormat checks that argument at of the call is a format and that the
// arguments behind it fit; the result is nil after an error.
func checkFormat(c Checker, call *Call, at int) *message {
	text, ok := wantString(c, call, at)
	if !ok || !c.Final() {
		return nil
	}
	args := call.Args[at+1:]
	m := &message{Message: &object.Message{Format: text}, format: ParseFormat(text)}
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
		if !p.takes() {
			continue
		}
		a := &args[n]
		n++
		switch {
		case p.Verb.unsupported():
			c.Errorf(call.Span, "unsupported format specifier: %s", p.Verb.letters())
			return nil
		case a.Type == nil || a.Type.Kind == types.Invalid:
			ok = false
		case !p.Verb.accepts(a.Type):
			c.Errorf(call.Span, "unsupported format specifier for type '%s': %s", a.Type, p.Verb.letters())
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

// litBytes is a literal argument as a record would hold it; nil: not a literal.
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

// emitMessage sends the arguments of a formatted action that are not known
// when compiling; more goes into the event's description behind the message.
func emitMessage(g Gen, call *Call, m *message, more ...any) {
	args, ts := make([]*Arg, len(m.send)), make([]*types.Type, len(m.send))
	for i, n := range m.send {
		args[i], ts[i] = &call.Args[n], call.Args[n].Type.Decay()
	}
	g.Send(call, args, ts, append([]any{m.Message}, more...))
}

// renderRecord is the text of a formatted action's record. The format is parsed
// when the first record of an event comes.
func renderRecord(env Env, rec *object.Record) string {
	m, ok := rec.Parsed.(*message)
	if !ok {
		data := rec.Lits[0].(*object.Message)
		m = &message{Message: data, format: ParseFormat(data.Format)}
		rec.Parsed = m
	}
	var buf [512]byte
	return string(m.render(env, rec, buf[:0]))
}

func (m *message) render(env Env, rec *object.Record, dst []byte) []byte {
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
			dst = p.append(env, dst, src.Type, data)
		}
	}
	return dst
}

// append renders one argument.
func (p *Piece) append(env Env, dst []byte, t *types.Type, data []byte) []byte {
	start := len(dst)
	switch p.Verb {
	case 's':
		dst = appendText(env, dst, t, data)
		if p.Prec >= 0 {
			dst = dst[:start+cut(dst[start:], p.Prec)]
		}
	case 'c':
		dst = append(dst, byte(integer(t, data)))
	case VerbBytes:
		dst = appendEscaped(dst, bufferBytes(data))
	case VerbHex:
		for _, c := range bufferBytes(data) {
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
	case VerbHexPlain:
		for i, c := range bufferBytes(data) {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
	case VerbGFP:
		dst = appendGFP(dst, integer(t, data))
	default:
		return p.appendInt(dst, t, data)
	}
	return p.fill(dst, start, start)
}

const hexDigits = "0123456789abcdef"

// cut is the length of the longest prefix of b of at most n bytes that does
// not end within a character.
func cut(b []byte, n int) int {
	if n >= len(b) {
		return len(b)
	}
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return n
}

// integer is a scalar's value, extended to 64 bits.
func integer(t *types.Type, data []byte) uint64 {
	if len(data) < t.Size {
		return 0
	}
	switch t.Size {
	case 1:
		if t.Signed {
			return uint64(int8(data[0]))
		}
		return uint64(data[0])
	case 2:
		x := binary.NativeEndian.Uint16(data)
		if t.Signed {
			return uint64(int16(x))
		}
		return uint64(x)
	case 4:
		x := binary.NativeEndian.Uint32(data)
		if t.Signed {
			return uint64(int32(x))
		}
		return uint64(x)
	case 8:
		return binary.NativeEndian.Uint64(data)
	}
	return 0
}

// appendInt renders a number: sign or 0x first, then zeros up to the
// precision, or to the width where the flag 0 asks for it.
func (p *Piece) appendInt(dst []byte, t *types.Type, data []byte) []byte {
	x := integer(t, data)
	// A number is as wide as its length modifier says. Without one bit patterns
	// (%o, %x) have the 32 bits that C gives them, since scripts count on their
	// digits; quantities (%d, %u) are never cut, a wrong number helps nobody.
	width := p.Bits
	switch {
	case width != 0:
	case p.Verb == 'o' || p.Verb == 'x' || p.Verb == 'X':
		width = 32
	case t.Word && x>>31 == 1: // a negative int, by all that is known
		width = 32
	default:
		width = max(32, uint(t.Size)*8)
	}
	var prefix [2]byte
	pre := prefix[:0]
	base := 10
	switch p.Verb {
	case 'd', 'i':
		v := int64(x<<(64-width)) >> (64 - width)
		x = uint64(v)
		switch {
		case v < 0:
			pre, x = append(pre, '-'), -x
		case p.Plus:
			pre = append(pre, '+')
		case p.Space:
			pre = append(pre, ' ')
		}
	case 'u':
		x &= math.MaxUint64 >> (64 - width)
	case 'o', 'x', 'X', 'p':
		x &= math.MaxUint64 >> (64 - width)
		base = 16
		if p.Verb == 'o' {
			base = 8
		}
		if x != 0 && base == 16 && (p.Alt || p.Verb == 'p') {
			pre = append(pre, '0', 'x')
			if p.Verb == 'X' {
				pre[1] = 'X'
			}
		}
	}
	var digits [24]byte
	d := digits[:0]
	if x != 0 || p.Prec != 0 {
		d = strconv.AppendUint(d, x, base)
	}
	if p.Verb == 'X' {
		d = bytes.ToUpper(d)
	}
	start := len(dst)
	dst = append(dst, pre...)
	at := len(dst)
	zeros := p.Prec - len(d)
	if p.Verb == 'o' && p.Alt && zeros < 1 && (len(d) == 0 || d[0] != '0') {
		zeros = 1
	}
	if p.Prec < 0 && p.Zero && !p.Minus {
		zeros = max(zeros, p.Width-len(pre)-len(d))
	}
	for range zeros {
		dst = append(dst, '0')
	}
	dst = append(dst, d...)
	return p.fill(dst, start, at)
}

// fill brings what was appended since start to the width. Zeros, where they
// are asked for of something that is no number, go to at.
func (p *Piece) fill(dst []byte, start, at int) []byte {
	n := p.Width - utf8.RuneCount(dst[start:])
	if n <= 0 {
		return dst
	}
	c := byte(' ')
	if p.Zero && !p.Minus && p.Verb != 'c' && p.Prec < 0 {
		c, start = '0', at
	}
	for range n {
		dst = append(dst, c)
	}
	if !p.Minus {
		copy(dst[start+n:], dst[start:len(dst)-n])
		for i := range n {
			dst[start+i] = c
		}
	}
	return dst
}

// appendText renders a value as %s does. Strings and integers, by far the most
// frequent, do not become values first.
func appendText(env Env, dst []byte, t *types.Type, data []byte) []byte {
	switch {
	case t.Kind == types.String:
		s := text(data)
		dst = append(dst, s...)
		if truncated(env, t, len(s)) {
			dst = append(dst, env.Settings().StrTruncTrailer...)
		}
		return dst
	case t.Kind == types.Int && t.Signed:
		return strconv.AppendInt(dst, int64(integer(t, data)), 10)
	case t.Kind == types.Int:
		return strconv.AppendUint(dst, integer(t, data), 10)
	}
	return append(dst, env.Text(env.Decode(t, data))...)
}

// appendEscaped is data with what is not printable ASCII as \x escapes.
func appendEscaped(dst, data []byte) []byte {
	for _, c := range data {
		if c >= ' ' && c <= '~' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}
