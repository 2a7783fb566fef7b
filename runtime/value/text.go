package value

import (
	"strconv"
	"strings"
)

// usualTrailer is appended to truncated strings unless the script sets another trailer.
const usualTrailer = ".."

// Text returns v as print and %s show it. Truncated strings end in trailer.
func Text(v Value, trailer string) string {
	switch v := v.(type) { // common types, without a builder
	case Int:
		return strconv.FormatInt(int64(v), 10)
	case Uint:
		return strconv.FormatUint(uint64(v), 10)
	case Str:
		if !v.Truncated {
			return v.S
		}
		return v.S + trailer
	}
	return string(AppendText(nil, v, trailer))
}

// AppendText appends the text that Text returns to b.
func AppendText(b []byte, v Value, trailer string) []byte {
	switch v := v.(type) {
	case Int:
		return strconv.AppendInt(b, int64(v), 10)
	case Uint:
		return strconv.AppendUint(b, uint64(v), 10)
	case Wide:
		return v.Append(b)
	case Bool:
		return strconv.AppendBool(b, bool(v))
	case Ptr:
		return strconv.AppendUint(append(b, "0x"...), uint64(v), 16)
	case Str:
		b = append(b, v.S...)
		if v.Truncated {
			b = append(b, trailer...)
		}
		return b
	case Bytes:
		return AppendEscaped(b, v)
	case Enum:
		if v.Name != "" {
			return append(b, v.Name...)
		}
		return strconv.AppendInt(b, v.V, 10)
	case Tuple:
		b = append(b, '(')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = AppendText(b, e, trailer)
		}
		return append(b, ')')
	case Array:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendText(b, e, trailer)
		}
		return append(b, ']')
	case Record:
		if len(v) == 0 {
			return append(b, "{}"...)
		}
		b = append(b, "{ "...)
		for i, f := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(b, '.')
			b = append(b, f.Name...)
			b = append(b, " = "...)
			b = AppendText(b, f.V, trailer)
		}
		return append(b, " }"...)
	case Avg:
		return AppendText(b, v.V, trailer)
	case Stats:
		return AppendText(b, v.Record(), trailer)
	case Stack:
		return v.appendTo(b)
	case Hist:
		return appendHist(b, v)
	case Series:
		return appendSeries(b, v)
	}
	return append(b, "null"...)
}

// Record returns the numbers as a record, in the form that text and JSON show.
func (v Stats) Record() Record {
	return Record{{Name: "count", V: Int(v.Count)}, {Name: "average", V: v.Avg}, {Name: "total", V: v.Total}}
}

// barWidth is the width of a histogram's bars in columns.
const barWidth = 52

func appendHist(b []byte, v Hist) []byte {
	var most uint64
	for _, k := range v.Buckets {
		most = max(most, k.Count)
	}
	for _, k := range v.Buckets {
		n := 0
		if most > 0 { // single precision, to match users' golden files
			n = int(float32(k.Count) / float32(most) * barWidth)
		}
		b = pad(append(b, k.Label...), 16-len(k.Label))
		count := strconv.FormatUint(k.Count, 10)
		b = append(pad(b, 8-len(count)), count...)
		b = append(b, " |"...)
		b = append(b, strings.Repeat("@", n)...)
		b = append(pad(b, barWidth-n), "|\n"...)
	}
	return b
}

//go:noinline
func pad(b []byte, n int) []byte {
	for ; n > 0; n-- {
		b = append(b, ' ')
	}
	return b
}

func (v Int) String() string    { return Text(v, usualTrailer) }
func (v Uint) String() string   { return Text(v, usualTrailer) }
func (w Wide) String() string   { return Text(w, usualTrailer) }
func (v Bool) String() string   { return Text(v, usualTrailer) }
func (v Ptr) String() string    { return Text(v, usualTrailer) }
func (v Str) String() string    { return Text(v, usualTrailer) }
func (v Bytes) String() string  { return Text(v, usualTrailer) }
func (v Enum) String() string   { return Text(v, usualTrailer) }
func (v Tuple) String() string  { return Text(v, usualTrailer) }
func (v Array) String() string  { return Text(v, usualTrailer) }
func (v Record) String() string { return Text(v, usualTrailer) }
func (v Null) String() string   { return Text(v, usualTrailer) }
func (v Hist) String() string   { return Text(v, usualTrailer) }
func (v Avg) String() string    { return Text(v, usualTrailer) }
func (v Stats) String() string  { return Text(v, usualTrailer) }
func (v Series) String() string { return Text(v, usualTrailer) }

//go:noinline
func (v Stack) String() string { return Text(v, usualTrailer) }
