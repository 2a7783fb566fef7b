package probes

import (
	"os"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/probes/binary"
)

// parseSourceLine parses the parts of binary@file:line[:col]. ok is false if they do
// not have that form. The last @ separates the paths, which may contain other ones.
func parseSourceLine(parts []string) (target string, s binary.SourceLine, ok bool, err error) {
	if len(parts) < 3 || len(parts) > 4 {
		return "", s, false, nil
	}
	i := strings.LastIndexByte(parts[1], '@')
	if i < 0 {
		return "", s, false, nil
	}
	target, s.File = parts[1][:i], parts[1][i+1:]
	nums := []*int{&s.Line, &s.Col}
	for n, text := range parts[2:] {
		v, perr := strconv.Atoi(text)
		if perr != nil {
			if _, err := os.Stat(parts[1]); err != nil && n == 0 && isWild(text) {
				return "", s, false, usage("Invalid line number: %s", text)
			}
			return "", s, false, nil // the @ is part of the binary's name
		}
		if v <= 0 {
			return "", s, false, usage("line and column numbers start at 1: %s", text)
		}
		*nums[n] = v
	}
	if s.File == "" {
		return "", s, false, usage("the file is missing before the line: write %s", uprobeAt("binary@file", "line"))
	}
	return target, s, true, nil
}
