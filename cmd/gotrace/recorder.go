package main

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime/object"
)

// checkRecorder checks --recorder and --until.
func (o *options) checkRecorder(fs *flagSet) error {
	given := fs.Changed
	if !given("recorder") {
		if given("until") {
			return usagef("USAGE: --until goes with --recorder SIZE: it says when the recorded events are printed")
		}
		return nil
	}
	if given("until") && strings.TrimSpace(o.until) == "" {
		return usagef("USAGE: --until needs a condition, such as '@errors > 10', or an attach point")
	}
	switch {
	case given("emit-elf"):
		return usagef("USAGE: --recorder cannot be used with --emit-elf: only gotrace reads the recorded events")
	case given("live"):
		return usagef("USAGE: --recorder cannot be used with --live, which shows events as they occur")
	case fs.test || fs.bench || o.mode == modeTest || o.mode == modeBench:
		return usagef("USAGE: --recorder is for events: other probes are run once")
	}
	var ok bool
	if o.recorder, ok = parseSize(fs.recorder); !ok || o.recorder <= 0 || o.recorder > object.MaxRecorder {
		return usagef("USAGE: --recorder needs a size in bytes of at most %s, such as 64M or 1G, not %q", sizeText(object.MaxRecorder), fs.recorder)
	}
	return nil
}

// dated reports whether results need the times of their events.
func (o *options) dated() bool { return o.format == "csv" || o.otlp != "" }

// sizeUnits are the units of sizes, from the smallest.
const sizeUnits = "KMGT"

// parseSize parses a number of bytes. K, M, G and T are powers of 1024. B or iB may follow.
func parseSize(text string) (int64, bool) {
	digits := strings.TrimRight(text, "KMGTkmgtiBb")
	unit := strings.ToUpper(text[len(digits):])
	n, err := strconv.ParseUint(digits, 10, 62)
	if err != nil || digits != strings.TrimLeft(digits, "+") {
		return 0, false
	}
	unit = strings.TrimSuffix(unit, "B")
	if len(unit) == 2 && unit[1] == 'I' {
		unit = unit[:1]
	}
	if unit == "" {
		return int64(n), true
	}
	i := strings.Index(sizeUnits, unit)
	if i < 0 || len(unit) != 1 || n >= 1<<62>>(10*(i+1)) {
		return 0, false
	}
	return int64(n << (10 * (i + 1))), true
}

// sizeText returns a size in the form that parseSize parses.
func sizeText(n int64) string {
	unit := ""
	for i := 0; i < len(sizeUnits) && n%1024 == 0 && n > 0; i++ {
		n, unit = n/1024, sizeUnits[i:i+1]
	}
	return strconv.FormatInt(n, 10) + unit
}
