package builtins

import (
	"strconv"
	"time"
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
