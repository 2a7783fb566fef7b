package vm

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

func TestNewestPackage(t *testing.T) {
	k, err := Find("6.1")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{
		"linux-image-6.1.0-9-cloud-amd64",
		"linux-image-6.1.0-50-cloud-amd64",
		"linux-image-6.1.0-50-cloud-amd64-dbg",
		"linux-image-6.12.0-51-cloud-amd64",
	}
	if got := newest(k.Package, names); got != names[1] {
		t.Errorf("newest = %q, want %q", got, names[1])
	}
	if _, err := Find("2.4"); err == nil || !strings.Contains(err.Error(), "5.10, 6.1, 6.12, 7") {
		t.Errorf("Find of an unknown kernel: %v", err)
	}
}

func TestCopyOutput(t *testing.T) {
	for _, c := range []struct {
		in, out string
		status  int
	}{
		{"a\nb\nguest-exit-status=0\n", "a\nb\n", 0},
		{"unfinishedguest-exit-status=7\n", "unfinished", 7},
		{"a\nno end", "a\nno end", -1},
		{"", "", -1},
	} {
		var out bytes.Buffer
		status, err := copyOutput(&out, strings.NewReader(c.in))
		if status != c.status || out.String() != c.out || err != nil {
			t.Errorf("copyOutput(%q) = %q, %d, %v", c.in, out.String(), status, err)
		}
	}
}

func TestShellQuote(t *testing.T) {
	words := []string{"printf", "%s|", "a b", "it's", `$x "y" \z`, ""}
	out, err := exec.Command("sh", "-c", shellQuote(words)).Output()
	if err != nil || string(out) != `a b|it's|$x "y" \z||` {
		t.Errorf("sh read back %q, %v", out, err)
	}
}

// TestArchive checks the layout that the kernel requires: headers and data on
// four-byte boundaries, and directories before their files.
func TestArchive(t *testing.T) {
	var buf bytes.Buffer
	a := newArchive(&buf)
	a.file("usr/bin/tool", 0o755, "12345")
	a.copy("etc/self", "cpio.go")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	if buf.Len()%4 != 0 {
		t.Errorf("length %d is not padded", buf.Len())
	}
	rest := buf.Bytes()
	cut := func(n int) (part string) {
		part, rest = string(rest[:n]), rest[(n+3)&^3:]
		return part
	}
	number := func(s string) int {
		n, err := strconv.ParseInt(s, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	for _, want := range []struct{ name, data string }{
		{"usr", ""}, {"usr/bin", ""}, {"usr/bin/tool", "12345"}, {"etc", ""}, {"etc/self", ""}, {"TRAILER!!!", ""},
	} {
		header := string(rest[:110])
		size, length := number(header[54:62]), number(header[94:102])
		if magic := header[:6]; magic != "070701" || length != len(want.name)+1 {
			t.Fatalf("header %q for %q", header, want.name)
		}
		if got := cut(110 + length)[110:]; got != want.name+"\x00" {
			t.Fatalf("entry %q, want %q", got, want.name)
		}
		if got := cut(size); want.data != "" && got != want.data {
			t.Errorf("%s holds %q, want %q", want.name, got, want.data)
		}
	}
	a = newArchive(&buf)
	a.copy("x", "no such file")
	if a.close() == nil {
		t.Error("a missing file went unnoticed")
	}
}
