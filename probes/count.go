package probes

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/outline"
)

// durations are the suffixes of the language's duration literals.
var durations = []struct {
	suffix string
	unit   time.Duration
}{
	{"ns", time.Nanosecond}, {"us", time.Microsecond}, {"ms", time.Millisecond}, {"s", time.Second},
	{"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour},
}

var errOverflow = errors.New("it does not fit 64 bits")

// parseCount parses a number in an attach point: decimal, 0x, 0b, octal with a
// leading 0, with "_" between digits, with an exponent (1e6), or a duration (10ms).
// Durations are in nanoseconds.
func parseCount(text string) (n uint64, duration bool, err error) {
	digits := strings.TrimSuffix(text, "_")
	bad := outline.Errorf("invalid integer: %s", text)
	if digits == "" || digits != text || strings.HasPrefix(text, "_") || strings.Contains(text, "__") {
		return 0, false, bad
	}
	if strings.HasPrefix(text, "-") {
		return 0, false, outline.Errorf("%s is negative", text)
	}
	digits = strings.ReplaceAll(text, "_", "")
	lower := strings.ToLower(digits)
	base := 10
	switch {
	case strings.HasPrefix(lower, "0x"):
		base, digits = 16, digits[2:]
	case strings.HasPrefix(lower, "0b"):
		base, digits = 2, digits[2:]
	default:
		for _, d := range durations {
			num, ok := strings.CutSuffix(digits, d.suffix)
			if !ok || num == "" || num[len(num)-1] < '0' || num[len(num)-1] > '9' {
				continue
			}
			if strings.HasSuffix(strings.TrimSuffix(text, d.suffix), "_") {
				return 0, true, bad
			}
			v, err := strconv.ParseUint(num, 10, 64)
			if errors.Is(err, strconv.ErrRange) || err == nil && v > math.MaxUint64/uint64(d.unit) {
				return 0, true, outline.Errorf("%s: %w", text, errOverflow)
			} else if err != nil {
				return 0, true, bad
			}
			return v * uint64(d.unit), true, nil
		}
		if mant, exp, ok := strings.Cut(lower, "e"); ok {
			m, err1 := strconv.ParseUint(mant, 10, 64)
			x, err2 := strconv.ParseUint(exp, 10, 8)
			if err1 != nil || err2 != nil {
				return 0, false, bad
			}
			for ; x > 0 && m > 0; x-- {
				if m > math.MaxUint64/10 {
					return 0, false, outline.Errorf("%s: %w", text, errOverflow)
				}
				m *= 10
			}
			return m, false, nil
		}
		if len(digits) > 1 && digits[0] == '0' {
			base = 8
		}
	}
	n, err = strconv.ParseUint(digits, base, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, false, outline.Errorf("%s: %w", text, errOverflow)
	case err != nil:
		return 0, false, bad
	}
	return n, false, nil
}
