package falco

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// datum is the value of a field.
type datum struct {
	kind kind
	s    string // the text, or the text of a number that is not shown in decimal digits
	n    int64
	// What few fields have is not part of the struct, which fields return by value.
	a    *netip.Addr
	list *[]datum // of a field that has several values
}

type kind uint8

const (
	missing kind = iota
	isText
	isBytes // s has any bytes
	isNumber
	isDecimal // n is in millionths
	isBool
	isAddr
	isList
)

func text(s string) datum  { return datum{kind: isText, s: s} }
func number(n int64) datum { return datum{kind: isNumber, n: n} }

// hexNumber and octNumber return numbers that are shown in other digits.
//
//go:noinline
func hexNumber(n int64) datum { return datum{kind: isNumber, n: n, s: fmt.Sprintf("%X", uint64(n))} }
func octNumber(n int64) datum { return datum{kind: isNumber, n: n, s: fmt.Sprintf("%o", uint64(n))} }

func decimal(f float64) datum { return datum{kind: isDecimal, n: int64(math.Round(f * 1e6))} }

func address(a netip.Addr) datum {
	return datum{kind: isAddr, a: &a}
}

// addr returns the address that d is, or the zero one.
func (d datum) addr() netip.Addr {
	if d.a == nil {
		return netip.Addr{}
	}
	return *d.a
}

func truth(b bool) datum {
	if b {
		return datum{kind: isBool, n: 1}
	}
	return datum{kind: isBool}
}

func list(l []datum) datum { return datum{kind: isList, list: &l} }

// known returns a text if ok is set, otherwise no value.
func known(s string, ok bool) datum {
	if !ok {
		return datum{}
	}
	return text(s)
}

// shown returns the value as an alert shows it.
func (d datum) shown() string {
	if d.kind == isBytes {
		return dots(d.s)
	}
	return d.String()
}

// String returns the value as conditions see it.
func (d datum) String() string {
	switch d.kind {
	case isText, isBytes:
		return d.s
	case isNumber:
		if d.s != "" {
			return d.s
		}
		return strconv.FormatInt(d.n, 10)
	case isDecimal:
		return strconv.FormatFloat(float64(d.n)/1e6, 'f', 1, 64)
	case isBool:
		return strconv.FormatBool(d.n != 0)
	case isAddr:
		return d.addr().String()
	case isList:
		var b bytes.Buffer
		for i, x := range *d.list {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(x.String())
		}
		return "(" + b.String() + ")"
	}
	return "<NA>"
}

// appendJSON appends the value in the form of output_fields.
func (d datum) appendJSON(b []byte) []byte {
	switch d.kind {
	case missing:
		return append(b, "null"...)
	case isNumber:
		if d.s != "" {
			return appendString(b, d.s)
		}
		return strconv.AppendInt(b, d.n, 10)
	case isDecimal:
		return strconv.AppendFloat(b, float64(d.n)/1e6, 'g', -1, 64)
	case isBool:
		return strconv.AppendBool(b, d.n != 0)
	case isList:
		b = append(b, '[')
		for i, x := range *d.list {
			if i > 0 {
				b = append(b, ',')
			}
			b = x.appendJSON(b)
		}
		return append(b, ']')
	}
	return appendString(b, d.shown())
}

// appendString appends a text as JSON. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = fmt.Appendf(b, "\\u%04x", c)
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}

// getter returns the value of a field or a function for an event.
type getter func(*Event) datum

// getterOf returns the getter of a term.
func getterOf(t *falco.Term) getter {
	switch {
	case t.Name == "":
		v := text(t.Text)
		return func(*Event) datum { return v }
	case t.Field != nil:
		get := fields.Get()[t.Field.Name]
		if get == nil {
			return func(*Event) datum { return datum{} }
		}
		return func(e *Event) datum { return get(e, t) }
	}
	var args []getter
	for i, a := range t.Args {
		if t.Name == "getopt" && i == 0 && a.Field != nil && a.Field.Name == "proc.args" {
			args = append(args, argWords)
			continue
		}
		args = append(args, getterOf(a))
	}
	if t.Name == "getopt" {
		return func(e *Event) datum { return getopt(args[0](e), args[1](e), t.Arg) }
	}
	apply := functions.Get()[t.Name]
	return func(e *Event) datum {
		var all []datum
		for _, get := range args {
			all = append(all, get(e))
		}
		return apply(all)
	}
}

// argWords returns the words of the command line after the first.
func argWords(e *Event) datum {
	var words []datum
	for i, a := range e.proc.Args {
		if i > 0 {
			words = append(words, text(a))
		}
	}
	return list(words)
}

// each applies a function to a text, or to all texts of a list.
//
//go:noinline
func each(f func(string) string) func([]datum) datum {
	var one func(d datum) datum
	one = func(d datum) datum {
		switch d.kind {
		case missing:
			return d
		case isList:
			var out []datum
			for _, x := range *d.list {
				out = append(out, one(x))
			}
			return list(out)
		}
		return text(f(d.String()))
	}
	return func(args []datum) datum { return one(args[0]) }
}

// functions are the functions of terms.
var functions = lazy.Table[map[string]func([]datum) datum]{New: func() map[string]func([]datum) datum {
	return map[string]func([]datum) datum{
		"val":     func(args []datum) datum { return args[0] },
		"tolower": each(strings.ToLower),
		"toupper": each(strings.ToUpper),
		"b64": func(args []datum) datum {
			d := args[0]
			if d.kind != isText && d.kind != isBytes {
				return datum{}
			}
			out, err := base64.StdEncoding.DecodeString(d.s)
			if err != nil {
				return datum{}
			}
			return text(string(out))
		},
		"basename": each(func(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }),
		"len": func(args []datum) datum {
			switch d := args[0]; d.kind {
			case missing:
				return d
			case isList:
				return number(int64(len(*d.list)))
			default:
				return number(int64(len(d.String())))
			}
		},
		"concat": func(args []datum) datum {
			var b bytes.Buffer
			for _, d := range args {
				if d.kind == missing {
					return d
				}
				b.WriteString(d.String())
			}
			return text(b.String())
		},
		"join": func(args []datum) datum {
			var parts []string
			for _, d := range args[1:] {
				switch d.kind {
				case missing:
					return d
				case isList:
					for _, x := range *d.list {
						parts = append(parts, x.String())
					}
				default:
					parts = append(parts, d.String())
				}
			}
			return text(strings.Join(parts, args[0].String()))
		},
	}
}}

// getopt returns the options in a command line, each followed by its argument. It stops at
// the first word that is not an option, and leaves out long ones. letters has the letters of the
// options; a colon follows one that has an argument. If one is given, getopt returns the
// argument of that option where it occurs last, or its letter if it has none.
func getopt(line, letters datum, one string) datum {
	var words []string
	switch line.kind {
	case missing:
		return line
	case isList:
		for _, x := range *line.list {
			words = append(words, x.String())
		}
	default:
		words = strings.Fields(line.String())
	}
	if letters.kind == missing {
		return letters
	}
	var all []datum
	var last datum
	for i := 0; i < len(words); i++ {
		w := words[i]
		if strings.HasPrefix(w, "--") && w != "--" {
			continue
		}
		if w == "--" || len(w) < 2 || w[0] != '-' {
			break
		}
		for j := 1; j < len(w); j++ {
			letter := w[j : j+1]
			takes, known := optionOf(letters.String(), w[j])
			found := text(letter)
			switch {
			case !known:
				all = append(all, text("?"))
				continue
			case !takes:
				all = append(all, found)
			case j+1 < len(w):
				found = text(w[j+1:])
				all = append(all, text(letter), found)
			case i+1 < len(words):
				i++
				found = text(words[i])
				all = append(all, text(letter), found)
			default:
				found = text("")
				all = append(all, found)
			}
			if letter == one {
				last = found
			}
			if takes {
				break
			}
		}
	}
	if one != "" {
		return last
	}
	return list(all)
}

// optionOf reports whether a letter is one of the options, and whether it has an argument.
func optionOf(letters string, letter byte) (takes, known bool) {
	n := strings.IndexByte(letters, letter)
	if n < 0 || letter == ':' {
		return false, false
	}
	return n+1 < len(letters) && letters[n+1] == ':', true
}
