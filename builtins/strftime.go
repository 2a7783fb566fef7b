package builtins

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/value"
)

// appendTime formats t in the local time zone, as glibc's strftime does in the C
// locale. As in bpftrace, %f, %k and %l are the microseconds, nanoseconds and
// milliseconds. Other text is copied.
func appendTime(dst []byte, format string, t time.Time) []byte {
	t = t.In(localZone())
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			dst = append(dst, format[i])
			continue
		}
		spec, n := parseTimeSpec(format[i+1:])
		if n == 0 {
			dst = append(dst, '%')
			continue
		}
		out, ok := spec.append(dst, t)
		if !ok {
			out = append(dst, format[i:i+1+n]...)
		}
		dst = out
		i += n
	}
	return dst
}

// withFractions replaces %k and %l, which are nanoseconds and milliseconds in
// bpftrace's strftime. In bpftrace's time they are the hour, as in C.
func withFractions(format string, t time.Time) string {
	if !strings.Contains(format, "%k") && !strings.Contains(format, "%l") {
		return format
	}
	return strings.NewReplacer("%%", "%%", "%k", fmt.Sprintf("%09d", t.Nanosecond()), "%l", fmt.Sprintf("%03d", t.Nanosecond()/1e6)).Replace(format)
}

// timeSpec is a conversion of strftime: flags, a width, a letter.
type timeSpec struct {
	fill        byte // '_', '-' or '0'; 0: the conversion's own
	upper, swap bool // ^ and #
	width       int
	verb        byte
}

// maxTimeWidth is the maximum width.
const maxTimeWidth = 1024

// parseTimeSpec parses the text after a %. n is the length of the conversion, or 0
// if the text ends within it.
func parseTimeSpec(s string) (spec timeSpec, n int) {
	i := 0
flags:
	for ; i < len(s); i++ {
		switch s[i] {
		case '_', '-', '0':
			spec.fill = s[i]
		case '^':
			spec.upper = true
		case '#':
			spec.swap = true
		default:
			break flags
		}
	}
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		spec.width = min(10*spec.width+int(s[i]-'0'), maxTimeWidth)
	}
	if i < len(s) && (s[i] == 'E' || s[i] == 'O') { // these modifiers have no effect in the C locale
		i++
	}
	if i == len(s) {
		return spec, 0
	}
	spec.verb = s[i]
	return spec, i + 1
}

// append formats a time with the conversion. ok is false if its letter has no meaning.
func (s timeSpec) append(dst []byte, t time.Time) (out []byte, ok bool) {
	if text, swapped, ok := timeText(s.verb, t); ok {
		switch {
		case s.swap && swapped == strings.ToLower(text):
			text = swapped
		case s.upper || s.swap && swapped != "":
			text = strings.ToUpper(text)
		}
		fill := byte(' ')
		if s.fill == '0' {
			fill = '0'
		}
		return padded(dst, text, s.width, fill), true
	}
	if s.verb == 'z' {
		return s.appendOffset(dst, t), true
	}
	n, digits, fill := timeNumber(s.verb, t)
	if digits == 0 {
		return dst, false
	}
	switch s.fill {
	case '-':
		return strconv.AppendInt(dst, n, 10), true
	case '_':
		fill = ' '
	case '0':
		fill = '0'
	}
	return padded(dst, strconv.FormatInt(n, 10), max(digits, s.width), fill), true
}

// appendOffset formats the offset of local time from UTC in hours and minutes.
func (s timeSpec) appendOffset(dst []byte, t time.Time) []byte {
	_, off := t.Zone()
	sign := byte('+')
	if off < 0 {
		sign, off = '-', -off
	}
	text := strconv.Itoa(off/3600*100 + off/60%60)
	switch s.fill {
	case '-':
		return append(append(dst, sign), text...)
	case '_':
		return padded(append(dst, sign), text, max(4, s.width-1), ' ')
	}
	return padded(append(dst, sign), text, max(4, s.width-1), '0')
}

// timeText returns the text of a conversion. swapped is the text with the flag #, or ""
// if the flag has no effect.
func timeText(verb byte, t time.Time) (text, swapped string, ok bool) {
	part := func(format string) (string, string, bool) { return string(appendTime(nil, format, t)), "", true }
	upper := func(text string) (string, string, bool) { return text, strings.ToUpper(text), true }
	lower := func(text string) (string, string, bool) { return text, strings.ToLower(text), true }
	switch verb {
	case 'a':
		return upper(t.Format("Mon"))
	case 'A':
		return upper(t.Format("Monday"))
	case 'b', 'h':
		return upper(t.Format("Jan"))
	case 'B':
		return upper(t.Format("January"))
	case 'c':
		return part("%a %b %e %H:%M:%S %Y")
	case 'D', 'x':
		return part("%m/%d/%y")
	case 'F':
		return part("%Y-%m-%d")
	case 'r':
		return part("%I:%M:%S %p")
	case 'R':
		return part("%H:%M")
	case 'T', 'X':
		return part("%H:%M:%S")
	case 'p':
		return lower(t.Format("PM"))
	case 'P':
		return t.Format("pm"), "", true
	case 'Z':
		name, _ := t.Zone()
		return lower(name)
	case 'n':
		return "\n", "", true
	case 't':
		return "\t", "", true
	case '%':
		return "%", "", true
	}
	return "", "", false
}

// timeNumber returns the number of a conversion, its minimum number of digits, and the
// character that pads it. digits is 0 if there is no such conversion.
func timeNumber(verb byte, t time.Time) (n int64, digits int, fill byte) {
	number := func(n, digits int) (int64, int, byte) { return int64(n), digits, '0' }
	blank := func(n, digits int) (int64, int, byte) { return int64(n), digits, ' ' }
	isoYear, isoWeek := t.ISOWeek()
	switch verb {
	case 'C':
		return number(t.Year()/100, 2)
	case 'd':
		return number(t.Day(), 2)
	case 'e':
		return blank(t.Day(), 2)
	case 'f':
		return number(t.Nanosecond()/1e3, 6)
	case 'g':
		return number(isoYear%100, 2)
	case 'G':
		return number(isoYear, 1)
	case 'H':
		return number(t.Hour(), 2)
	case 'I':
		return number((t.Hour()+11)%12+1, 2)
	case 'j':
		return number(t.YearDay(), 3)
	case 'k':
		return blank(t.Hour(), 2)
	case 'l':
		return blank((t.Hour()+11)%12+1, 2)
	case 'm':
		return number(int(t.Month()), 2)
	case 'M':
		return number(t.Minute(), 2)
	case 's':
		return t.Unix(), 1, '0'
	case 'S':
		return number(t.Second(), 2)
	case 'u':
		return number((int(t.Weekday())+6)%7+1, 1)
	case 'U': // weeks begin on Sundays; days before the first one are in week 0
		return number((t.YearDay()+6-int(t.Weekday()))/7, 2)
	case 'V':
		return number(isoWeek, 2)
	case 'w':
		return number(int(t.Weekday()), 1)
	case 'W': // likewise, with weeks that begin on Mondays
		return number((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2)
	case 'y':
		return number(t.Year()%100, 2)
	case 'Y':
		return number(t.Year(), 1)
	}
	return 0, 0, 0
}

// padded appends s, padded on the left to width.
//
//go:noinline
func padded(dst []byte, s string, width int, fill byte) []byte {
	for range width - len(s) {
		dst = append(dst, fill)
	}
	return append(dst, s...)
}

// A timestamp is a u64. The type's first parameter is its clock, an index into
// clocks. The other parameters are the format: its length, then eight bytes in
// each.
var clocks = []string{clockBoot, clockMonotonic, clockTAI, clockSoftTAI}

func strftime() *Def {
	return &Def{
		Name: "strftime",
		Kind: Function,
		TypeDef: TypeDef{
			TypeName: "timestamp",
			// A type that was declared but never assigned has no parameters.
			AcceptType: func(t *types.Type) bool {
				p := t.Params
				return len(p) == 0 || p[0] >= 0 && p[0] < int64(len(clocks)) && isText(p[1:])
			},
			ShowType: func(t *types.Type) string { return fmt.Sprintf("timestamp(%q)", unpackText(t.Params[1:])) },
			Format: func(env Env, t *types.Type, data []byte) value.Value {
				ns := binary.NativeEndian.Uint64(data)
				if len(t.Params) < 2 { // declared, but never assigned
					return value.Str{S: noTime}
				}
				var when time.Time
				switch clocks[t.Params[0]] {
				case clockTAI, clockSoftTAI:
					when = time.Unix(0, int64(ns)-taiMinusWall())
				default:
					when = env.BootToWall(ns)
				}
				text := appendTime(nil, withFractions(unpackText(t.Params[1:]), when), when)
				if len(text) == 0 {
					return value.Str{S: noTime}
				}
				return value.Str{S: string(text)}
			},
		},
		Params: []Param{{Name: "format"}, {Name: "ns"}},
		Doc: Doc{
			Summary:  "A timestamp of nsecs that is printed in local time, as strftime(3) formats it. %f is the microseconds.",
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
				c.Errorf(call.Span, "strftime() cannot take a monotonic timestamp")
				return types.TInvalid
			}
			if a := call.Args[1]; a.Lit != nil && a.Lit.Int < 0 && !a.Lit.Unsigned {
				c.Errorf(a.Span, "strftime() does not accept negative timestamps")
				return types.TInvalid
			}
			return &types.Type{Kind: types.Opaque, Name: "timestamp", Size: 8, Params: append([]int64{clock}, packText(format)...)}
		},
		Emit: func(g Gen, call *Call) *ir.Value { return g.Value(&call.Args[1]) },
	}
}

// noTime is printed for a timestamp without a format, or with one that produces
// nothing.
const noTime = "(?)"

// packText packs a text into numbers: its length, followed by eight bytes in each
// number.
func packText(s string) []int64 {
	out := []int64{int64(len(s))}
	for ; len(s) > 0; s = s[min(8, len(s)):] {
		var b [8]byte
		copy(b[:], s)
		out = append(out, int64(binary.LittleEndian.Uint64(b[:])))
	}
	return out
}

// isText reports whether p is a text packed by packText.
func isText(p []int64) bool { return len(p) > 0 && p[0] >= 0 && p[0] <= int64(8*(len(p)-1)) }

//go:noinline
func unpackText(p []int64) string {
	var b []byte
	for _, w := range p[1:] {
		b = binary.LittleEndian.AppendUint64(b, uint64(w))
	}
	return string(b[:min(int(p[0]), len(b))])
}

// localZone returns the local time zone. In TZ, package time supports only names of
// files. It treats a POSIX rule, as in TZ=CET-1CEST,M3.5.0,M10.5.0/3, as UTC.
func localZone() *time.Location {
	if zone := envZone.Get(); zone != nil {
		return zone
	}
	return time.Local
}

var envZone = lazy.Value[*time.Location]{New: func() *time.Location { return ruleZone(os.Getenv("TZ")) }}

// ruleZone returns the time zone of a POSIX rule, or nil if tz is not one.
func ruleZone(tz string) *time.Location {
	if tz == "" || strings.Contains(tz, "\n") || tz[0] == ':' || tz[0] == '/' {
		return nil
	}
	if _, err := time.LoadLocation(tz); err == nil {
		return nil // a file has precedence
	}
	if m := fixedZone.Get().FindStringSubmatch(tz); m != nil && (m[2] == "" || m[2] == tz[len(m[1]):]) {
		return time.FixedZone(strings.Trim(m[1], "<>"), zoneOffset(m[2]))
	}
	zone, err := time.LoadLocationFromTZData(tz, zoneFile(tz))
	if err != nil {
		return nil
	}
	return zone
}

// fixedZone matches a rule without summer time: a name and hours west of UTC. If other
// text follows, glibc uses the name, and UTC for the time.
var fixedZone = lazy.Regexp{Expr: `^([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)([+-]?[0-9]{1,3}(?::[0-9]+){0,2})?`}

// zoneOffset returns a rule's offset in seconds east of UTC. Each of its numbers has a
// greatest value, as in glibc.
func zoneOffset(rule string) (sec int) {
	east, rule := strings.HasPrefix(rule, "-"), strings.TrimLeft(rule, "+-")
	unit := 3600
	for i, n := range strings.SplitN(rule, ":", 3) {
		v, _ := strconv.Atoi(n) // "": 0
		sec += unit * min(v, []int{24, 59, 59}[i])
		unit /= 60
	}
	if east {
		return sec
	}
	return -sec
}

// zoneFile returns a file as in tzfile(5), version 2, that consists of a rule for all
// times after one long ago. Before that time, and if the rule is wrong, the zone is
// UTC.
func zoneFile(rule string) []byte {
	const name = "UTC\x00"
	header := func(times, kinds, chars uint32) []byte {
		b := append([]byte("TZif2"), make([]byte, 15)...)
		for _, n := range []uint32{0, 0, 0, times, kinds, chars} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	b := append(header(0, 0, 0), header(1, 1, uint32(len(name)))...)
	first := int64(-1 << 59)
	b = binary.BigEndian.AppendUint64(b, uint64(first))
	b = append(b, 0)                // of this kind:
	b = append(b, 0, 0, 0, 0, 0, 0) // no offset, not summer, the first name
	b = append(b, name...)
	return append(b, "\n"+rule+"\n"...)
}
