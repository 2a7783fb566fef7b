package decode

import (
	"github.com/gotrace/gotrace/lang/types"
)

// Format is a parsed format string: a sequence of text and conversions.
type Format struct {
	Pieces  []Piece
	Unknown string // the first % with a letter that is not a conversion; it is treated as text
}

// Piece is literal text or, if Verb is not 0, a conversion.
type Piece struct {
	Text string // literal text, or the source of the conversion
	Verb Verb
	Spec
}

// Verb identifies a conversion.
type Verb byte

// The conversions that are not in printf(3). Those of printf(3) are identified by
// their letters.
const (
	VerbBytes    Verb = 'r' // %r: text, with other bytes as \x escapes
	VerbHex      Verb = 'R' // %rx: all bytes as \x escapes
	VerbHexPlain Verb = 'H' // %rh: hex pairs
	VerbGFP      Verb = 'G' // %gr: names of allocation flags
)

// Spec holds the parts of a conversion between % and the letter.
type Spec struct {
	Minus, Plus, Space, Alt, Zero bool
	Width                         int
	Prec                          int  // -1: none
	Bits                          uint // width of the integer set by a length modifier; 0: the argument's
}

// maxPad limits width and precision, so that a record cannot request gigabytes of
// text.
const maxPad = 1 << 16

// ParseFormat parses a format string. It never fails: a % that starts no conversion
// is text.
func ParseFormat(s string) *Format {
	f := &Format{}
	text := 0
	flush := func(end int) {
		if end > text {
			f.Pieces = append(f.Pieces, Piece{Text: s[text:end]})
		}
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		p, n := parseConversion(s[i:])
		if n == 0 {
			if f.Unknown == "" && i+1 < len(s) && s[i+1] > ' ' && s[i+1] <= '~' {
				f.Unknown = s[i : i+2]
			}
			continue
		}
		flush(i)
		f.Pieces = append(f.Pieces, p)
		i += n - 1
		text = i + 1
	}
	flush(len(s))
	return f
}

// parseConversion parses the conversion at the start of s and returns it with its
// length. The length is 0 if there is no conversion.
func parseConversion(s string) (Piece, int) {
	p := Piece{Spec: Spec{Prec: -1}}
	i := 1
flags:
	for ; i < len(s); i++ {
		switch s[i] {
		case '-':
			p.Minus = true
		case '+':
			p.Plus = true
		case ' ':
			p.Space = true
		case '#':
			p.Alt = true
		case '0':
			p.Zero = true
		default:
			break flags
		}
	}
	if i < len(s) && s[i] == '*' { // it takes no argument
		i++
	} else {
		p.Width, i = number10(s, i)
	}
	if i < len(s) && s[i] == '.' {
		i++
		if i < len(s) && s[i] == '*' {
			i++
		} else {
			p.Prec, i = number10(s, i)
		}
	}
	for _, l := range lengths {
		if len(s)-i >= len(l.text) && s[i:i+len(l.text)] == l.text {
			p.Bits = l.bits
			i += len(l.text)
			break
		}
	}
	if i == len(s) {
		return p, 0
	}
	switch c := s[i]; c {
	case 'd', 'i', 'u', 'o', 'x', 'X', 'c', 's', 'p', '%', 'f', 'F', 'e', 'E', 'a', 'A':
		p.Verb = Verb(c)
	case 'r':
		p.Verb = VerbBytes
		if i+1 < len(s) && s[i+1] == 'x' {
			p.Verb = VerbHex
			i++
		} else if i+1 < len(s) && s[i+1] == 'h' {
			p.Verb = VerbHexPlain
			i++
		}
	case 'g', 'G':
		p.Verb = 'g'
		if c == 'g' && i+1 < len(s) && s[i+1] == 'r' {
			p.Verb = VerbGFP
			i++
		}
	default:
		return p, 0
	}
	p.Text = s[:i+1]
	return p, i + 1
}

// lengths lists the length modifiers, longer ones first.
var lengths = []struct {
	text string
	bits uint
}{{"hh", 8}, {"h", 16}, {"ll", 64}, {"l", 64}, {"j", 64}, {"z", 64}, {"t", 64}, {"L", 64}}

func number10(s string, i int) (n, end int) {
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		n = min(n*10+int(s[i]-'0'), maxPad)
	}
	return n, i
}

// Takes reports whether the conversion takes an argument.
func (p *Piece) Takes() bool { return p.Verb != 0 && p.Verb != '%' }

// NumArgs returns the number of arguments that the format takes.
func (f *Format) NumArgs() int {
	n := 0
	for i := range f.Pieces {
		if f.Pieces[i].Takes() {
			n++
		}
	}
	return n
}

// Accepts reports whether the conversion can show a value of type t.
func (v Verb) Accepts(t *types.Type) bool {
	switch v {
	case 's':
		return t.Kind != types.Void && (t.Kind != types.Agg || t.Castable || t.Copyable)
	case VerbBytes, VerbHex, VerbHexPlain:
		return t.Kind == types.Buffer
	case VerbGFP:
		return t.Kind == types.Int
	}
	return t.IsInteger() || t.Kind == types.Pointer || t.Castable
}

// Letters returns the letters of the verb in a format string.
func (v Verb) Letters() string {
	switch v {
	case VerbHex:
		return "rx"
	case VerbHexPlain:
		return "rh"
	case VerbGFP:
		return "gr"
	}
	return string(rune(v))
}

// Unsupported reports whether v is a floating-point conversion: the language has no
// floats.
func (v Verb) Unsupported() bool {
	switch v {
	case 'f', 'F', 'e', 'E', 'g', 'a', 'A':
		return true
	}
	return false
}
