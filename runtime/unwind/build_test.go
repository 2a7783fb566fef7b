package unwind

import (
	"bytes"
	"os"
	"testing"
)

// FuzzContents reads what identifies the tables of a file from files that are damaged
// after their header.
func FuzzContents(f *testing.F) {
	f.Add(uint32(0), uint32(1), byte(0xff))
	f.Add(uint32(500), uint32(3), byte(0x80))
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		f.Skip(err)
	}
	f.Fuzz(func(t *testing.T, start, step uint32, change byte) {
		bad := bytes.Clone(data)
		for i, n := 64+uint64(start), 0; i < uint64(len(bad)) && n < 200; i, n = i+uint64(step%4096)+1, n+1 {
			bad[i] ^= change
		}
		contents(bytes.NewReader(bad))
	})
}
