// Package value defines the values that programs compute, and their text. A value is
// a tree of plain Go values, independent of any byte layout. Package runtime/output
// writes values as text or JSON.
package value

// Value is one of the types below. String returns the text that print shows.
type Value interface {
	value()
	String() string
}

type (
	// Int is a signed integer.
	Int int64
	// Uint is an unsigned integer.
	Uint uint64
	// Wide is an integer that needs more than 64 bits: Hi * 2^64 + Lo.
	Wide struct {
		Hi int64
		Lo uint64
	}
	// Bool is printed as true or false.
	Bool bool
	// Ptr is an address, printed in hex.
	Ptr uint64
	// Str is text without its NUL. Truncated reports whether the original was
	// longer.
	Str struct {
		S         string
		Truncated bool
	}
	// Bytes is raw data, printed with \x escapes.
	Bytes []byte
	// Enum is an enum value and its name, "" if it has none.
	Enum struct {
		Name string
		V    int64
	}
	// Tuple is printed as (a, b).
	Tuple []Value
	// Array is printed as [a,b].
	Array []Value
	// Record is a struct or record: { .x = 1, .y = s }.
	Record []Field
	// Null is the absence of a value.
	Null struct{}
	// Hist is a histogram, with one row per bucket in order. Empty buckets before
	// the first and after the last non-empty one are left out.
	Hist struct {
		Buckets []Bucket
		Linear  bool // an lhist; counts are never divided
	}
	// Avg is the average of an aggregation. It is printed like V, but in JSON a map of
	// averages has the type stats.
	Avg struct{ V Value }
	// Stats holds count, average and total.
	Stats struct {
		Count int64
		Avg   Value
		Total Value
	}
	// Series is a time series: points at regular intervals.
	Series struct {
		Interval int64 // ns
		Points   []Point
	}
	// Stack is a stack trace, innermost frame first. Mode selects how it is shown:
	// bpftrace, perf, raw or build_id; "" is bpftrace. Debug shows source lines and
	// inlined functions. Missing is the reason why the outer frames are missing, or all
	// frames if there are none. It is "" if no frame is missing or there was no stack.
	Stack struct {
		Frames  []Frame
		Mode    string
		Kernel  bool
		Debug   bool
		Missing string
	}
)

// Frame is a function at an address of a stack: the function that contains the code, or
// one that was inlined there. Inlined functions precede the function that contains the
// code and have the same address.
type Frame struct {
	Addr    uint64
	Name    string // "" if it is not known
	Offset  uint64 // in the function
	Module  string // the file, or the kernel's module; "[jit]" for generated code
	BuildID string // of the file, in hex; "" if it has none or it is not known
	InFile  uint64 // offset of the address in the file
	File    string // source file; "" if it is not known
	Line    int
	Inlined bool
}

// Field is a named member of a Record.
type Field struct {
	Name string
	V    Value
}

// Bucket counts samples in the closed range [Min, Max]. MinInf and MaxInf mark
// ranges without a lower or upper bound. If Unsigned is set, Min and Max are the
// bits of a uint64. Label is the range as printed in text: "[4, 8)".
type Bucket struct {
	Min, Max       int64
	Unsigned       bool
	MinInf, MaxInf bool
	Label          string
	Count          uint64
}

// Point is one interval of a Series. Set is false if the interval is empty.
type Point struct {
	Start int64 // ns since the epoch
	V     Value
	Set   bool
}

func (Int) value()    {}
func (Uint) value()   {}
func (Wide) value()   {}
func (Bool) value()   {}
func (Ptr) value()    {}
func (Str) value()    {}
func (Bytes) value()  {}
func (Enum) value()   {}
func (Tuple) value()  {}
func (Array) value()  {}
func (Record) value() {}
func (Null) value()   {}
func (Hist) value()   {}
func (Avg) value()    {}
func (Stats) value()  {}
func (Series) value() {}
func (Stack) value()  {}

// Metric is the kind of numbers that a map holds.
type Metric uint8

const (
	Other     Metric = iota // not numbers: text, stacks, tuples …
	Gauge                   // numbers that rise and fall
	Counter                 // numbers that only rise
	Histogram               // Hist
	Summary                 // Stats
	Quantiles               // a Record of quantiles and the number of values
	TimeLine                // Series
)

// Entry is one key and value of a map. Key is nil in a map without keys.
type Entry struct {
	Key, Value Value
}

// Plain returns a string, or bytes as a string. It returns "" for other values.
func Plain(v Value) string {
	switch v := v.(type) {
	case Str:
		return v.S
	case Bytes:
		return string(v)
	}
	return ""
}

// Number returns the number of an integer, an address, an enum or a boolean. ok is false
// for other values.
func Number(v Value) (n int64, ok bool) {
	switch v := v.(type) {
	case Int:
		return int64(v), true
	case Uint:
		return int64(v), true
	case Ptr:
		return int64(v), true
	case Enum:
		return v.V, true
	case Bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// Float returns an integer or an average as a float64, which may be rounded. ok is false
// for other values.
func Float(v Value) (n float64, ok bool) {
	switch v := v.(type) {
	case Int:
		return float64(v), true
	case Uint:
		return float64(v), true
	case Wide:
		n, _ = v.Float64()
		return n, true
	case Avg:
		return Float(v.V)
	}
	return 0, false
}
