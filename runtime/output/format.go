package output

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime/value"
)

// Text returns v as print and %s show it. Truncated strings end in trailer.
func Text(v value.Value, trailer string) string {
	switch v := v.(type) { // common types, without a builder
	case value.Int:
		return strconv.FormatInt(int64(v), 10)
	case value.Uint:
		return strconv.FormatUint(uint64(v), 10)
	case value.Str:
		if !v.Truncated {
			return v.S
		}
		return v.S + trailer
	}
	return string(appendText(nil, v, trailer))
}

func appendText(b []byte, v value.Value, trailer string) []byte {
	switch v := v.(type) {
	case value.Int:
		return strconv.AppendInt(b, int64(v), 10)
	case value.Uint:
		return strconv.AppendUint(b, uint64(v), 10)
	case value.Wide:
		return v.Big().Append(b, 10)
	case value.Bool:
		return strconv.AppendBool(b, bool(v))
	case value.Ptr:
		return strconv.AppendUint(append(b, "0x"...), uint64(v), 16)
	case value.Str:
		b = append(b, v.S...)
		if v.Truncated {
			b = append(b, trailer...)
		}
		return b
	case value.Bytes:
		return value.AppendEscaped(b, v)
	case value.Enum:
		if v.Name != "" {
			return append(b, v.Name...)
		}
		return strconv.AppendInt(b, v.V, 10)
	case value.Tuple:
		b = append(b, '(')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendText(b, e, trailer)
		}
		return append(b, ')')
	case value.Array:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, e, trailer)
		}
		return append(b, ']')
	case value.Record:
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
			b = appendText(b, f.V, trailer)
		}
		return append(b, " }"...)
	case value.Avg:
		return appendText(b, v.V, trailer)
	case value.Stats:
		return appendText(b, statsRecord(v), trailer)
	case value.Stack:
		return appendStack(b, v)
	case value.Hist:
		return appendHist(b, v)
	case value.Series:
		return appendSeries(b, v)
	}
	return append(b, "null"...)
}

// statsRecord returns stats as a record, which both formats print.
func statsRecord(v value.Stats) value.Record {
	return value.Record{{Name: "count", V: value.Int(v.Count)}, {Name: "average", V: v.Avg}, {Name: "total", V: v.Total}}
}

// appendStack appends a stack with every frame on a line of its own, between line
// ends that separate it from other text.
func appendStack(b []byte, v value.Stack) []byte {
	indent := "        "
	switch v.Mode {
	case "perf":
		indent = "\t"
	case "raw", "build_id":
		indent = ""
	}
	b = append(b, '\n')
	for _, f := range v.Frames {
		b = append(b, indent...)
		b = append(b, f...)
		b = append(b, '\n')
	}
	return b
}

// barWidth is the width of a histogram's bars in columns.
const barWidth = 52

func appendHist(b []byte, v value.Hist) []byte {
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

func pad(b []byte, n int) []byte {
	for ; n > 0; n-- {
		b = append(b, ' ')
	}
	return b
}

// multiline reports whether a map's value starts on a line of its own.
func multiline(v value.Value) bool {
	switch v.(type) {
	case value.Hist, value.Series:
		return true
	}
	return false
}

// quotient returns n/div as the smallest kind of value that holds it.
func quotient(n, div *big.Int) value.Value {
	n.Quo(n, div)
	switch {
	case n.IsInt64():
		return value.Int(n.Int64())
	case n.IsUint64():
		return value.Uint(n.Uint64())
	}
	hi := new(big.Int).Rsh(n, 64)
	lo := new(big.Int).Sub(n, new(big.Int).Lsh(hi, 64))
	return value.Wide{Hi: hi.Int64(), Lo: lo.Uint64()}
}

// divided returns v with its integers divided by div, the third argument of print.
func divided(v value.Value, div int64) value.Value {
	if div == 0 || div == 1 {
		return v
	}
	switch v := v.(type) {
	case value.Int:
		return value.Int(int64(v) / div)
	case value.Uint:
		return value.Uint(uint64(v) / uint64(div))
	case value.Wide:
		return quotient(v.Big(), big.NewInt(div))
	case value.Avg:
		return value.Avg{V: divided(v.V, div)}
	case value.Stats:
		v.Avg = divided(v.Avg, div)
		return v
	case value.Tuple:
		out := make(value.Tuple, len(v))
		for i, e := range v {
			out[i] = divided(e, div)
		}
		return out
	case value.Array:
		out := make(value.Array, len(v))
		for i, e := range v {
			out[i] = divided(e, div)
		}
		return out
	case value.Record:
		out := make(value.Record, len(v))
		for i, f := range v {
			out[i] = value.Field{Name: f.Name, V: divided(f.V, div)}
		}
		return out
	case value.Hist:
		if v.Linear {
			return v
		}
		out := value.Hist{Buckets: make([]value.Bucket, len(v.Buckets))}
		for i, k := range v.Buckets {
			k.Count /= uint64(div)
			out.Buckets[i] = k
		}
		return out
	}
	return v
}
