package builtins

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// appendTime renders t (in the local time zone) as strftime(3) does in the C
// locale. Beyond it, %f is the microseconds, six digits. What is not a
// conversion stays as it is.
func appendTime(dst []byte, format string, t time.Time) []byte {
	t = t.Local()
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			dst = append(dst, format[i])
			continue
		}
		start := i
		i++
		if (format[i] == 'E' || format[i] == 'O') && i+1 < len(format) { // alternatives the C locale does not have
			i++
		}
		out, ok := appendConversion(dst, format[i], t)
		if !ok {
			out = append(dst, format[start:i+1]...)
		}
		dst = out
	}
	return dst
}

func appendConversion(dst []byte, c byte, t time.Time) ([]byte, bool) {
	switch c {
	case 'a':
		return t.AppendFormat(dst, "Mon"), true
	case 'A':
		return t.AppendFormat(dst, "Monday"), true
	case 'b', 'h':
		return t.AppendFormat(dst, "Jan"), true
	case 'B':
		return t.AppendFormat(dst, "January"), true
	case 'c':
		return appendTime(dst, "%a %b %e %H:%M:%S %Y", t), true
	case 'C':
		return pad(dst, t.Year()/100, 2, '0'), true
	case 'd':
		return pad(dst, t.Day(), 2, '0'), true
	case 'D', 'x':
		return appendTime(dst, "%m/%d/%y", t), true
	case 'e':
		return pad(dst, t.Day(), 2, ' '), true
	case 'f':
		return pad(dst, t.Nanosecond()/1000, 6, '0'), true
	case 'F':
		return appendTime(dst, "%Y-%m-%d", t), true
	case 'g':
		year, _ := t.ISOWeek()
		return pad(dst, year%100, 2, '0'), true
	case 'G':
		year, _ := t.ISOWeek()
		return pad(dst, year, 1, '0'), true
	case 'H':
		return pad(dst, t.Hour(), 2, '0'), true
	case 'I':
		return pad(dst, hour12(t), 2, '0'), true
	case 'j':
		return pad(dst, t.YearDay(), 3, '0'), true
	case 'k':
		return pad(dst, t.Hour(), 2, ' '), true
	case 'l':
		return pad(dst, hour12(t), 2, ' '), true
	case 'm':
		return pad(dst, int(t.Month()), 2, '0'), true
	case 'M':
		return pad(dst, t.Minute(), 2, '0'), true
	case 'n':
		return append(dst, '\n'), true
	case 'p':
		return t.AppendFormat(dst, "PM"), true
	case 'P':
		return t.AppendFormat(dst, "pm"), true
	case 'r':
		return appendTime(dst, "%I:%M:%S %p", t), true
	case 'R':
		return appendTime(dst, "%H:%M", t), true
	case 's':
		return strconv.AppendInt(dst, t.Unix(), 10), true
	case 'S':
		return pad(dst, t.Second(), 2, '0'), true
	case 't':
		return append(dst, '\t'), true
	case 'T', 'X':
		return appendTime(dst, "%H:%M:%S", t), true
	case 'u':
		return pad(dst, (int(t.Weekday())+6)%7+1, 1, '0'), true
	case 'U': // weeks begin on Sundays; before the first one it is week 0
		return pad(dst, (t.YearDay()+6-int(t.Weekday()))/7, 2, '0'), true
	case 'V':
		_, week := t.ISOWeek()
		return pad(dst, week, 2, '0'), true
	case 'w':
		return pad(dst, int(t.Weekday()), 1, '0'), true
	case 'W': // the same from Mondays
		return pad(dst, (t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0'), true
	case 'y':
		return pad(dst, t.Year()%100, 2, '0'), true
	case 'Y':
		return pad(dst, t.Year(), 1, '0'), true
	case 'z':
		return t.AppendFormat(dst, "-0700"), true
	case 'Z':
		return t.AppendFormat(dst, "MST"), true
	case '%':
		return append(dst, '%'), true
	}
	return dst, false
}

func hour12(t time.Time) int { return (t.Hour()+11)%12 + 1 }

// pad appends n in decimal, filled up on the left to width.
func pad(dst []byte, n, width int, fill byte) []byte {
	s := strconv.Itoa(n)
	for range width - len(s) {
		dst = append(dst, fill)
	}
	return append(dst, s...)
}

// A timestamp is a u64 on the clock of the type's first parameter (an index
// into clocks); the other parameters are the format, length first, eight bytes
// a word.
var clocks = []string{clockBoot, clockMonotonic, clockTAI, clockSoftTAI}

func strftime() *Def {
	return &Def{
		Name:     "strftime",
		Kind:     Function,
		TypeName: "timestamp",
		Params:   []Param{{Name: "format"}, {Name: "ns"}},
		Doc: Doc{
			Summary:  "A timestamp of nsecs that prints as strftime(3) formats it in local time; %f stands for microseconds.",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { printf("%s %s\n", strftime("%H:%M:%S.%f", nsecs), comm); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			format, ok := wantString(c, call, 0)
			if t := call.typeOf(1); t.Kind != types.Invalid && t.Kind != types.Int && c.Final() {
				c.Errorf(call.Span, "strftime() only supports int arguments (%s provided)", className(t))
				return types.TInvalid
			}
			if !ok {
				return types.TInvalid
			}
			clock := int64(0)
			for i, name := range clocks {
				if call.typeOf(1).Name == name {
					clock = int64(i)
				}
			}
			if clocks[clock] == clockMonotonic {
				c.Errorf(call.Span, "strftime() can not take a monotonic timestamp")
				return types.TInvalid
			}
			if a := call.Args[1]; a.Lit != nil && a.Lit.Int < 0 && !a.Lit.Unsigned {
				c.Errorf(a.Span, "strftime() can not take a negative timestamp")
				return types.TInvalid
			}
			return &types.Type{Kind: types.Opaque, Name: "timestamp", Size: 8, Params: append([]int64{clock}, packText(format)...)}
		},
		ShowType: func(t *types.Type) string { return fmt.Sprintf("timestamp(%q)", unpackText(t.Params[1:])) },
		Emit:     func(g Gen, call *Call) *ir.Value { return g.Value(&call.Args[1]) },
		Format: func(env Env, t *types.Type, data []byte) value.Value {
			ns := binary.NativeEndian.Uint64(data)
			if len(t.Params) < 2 { // declared, never assigned
				return value.Uint(ns)
			}
			var when time.Time
			switch clocks[t.Params[0]] {
			case clockTAI, clockSoftTAI:
				when = time.Unix(0, int64(ns)-taiMinusWall())
			default:
				when = env.BootToWall(ns)
			}
			return value.Str{S: string(appendTime(nil, unpackText(t.Params[1:]), when))}
		},
	}
}

// packText puts a text into numbers: its length, then eight bytes a number.
func packText(s string) []int64 {
	out := []int64{int64(len(s))}
	for ; len(s) > 0; s = s[min(8, len(s)):] {
		var b [8]byte
		copy(b[:], s)
		out = append(out, int64(binary.LittleEndian.Uint64(b[:])))
	}
	return out
}

func unpackText(p []int64) string {
	var b []byte
	for _, w := range p[1:] {
		b = binary.LittleEndian.AppendUint64(b, uint64(w))
	}
	return string(b[:min(int(p[0]), len(b))])
}
