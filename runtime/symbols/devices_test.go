package symbols

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func TestDevices(t *testing.T) {
	var d Devices
	dead := d.Hang("/dead/")
	defer dead()
	if !d.Answer("08:01", "/good/a", "/good/b") || d.Answer("00:2a", "/good/a", "/dead/a") {
		t.Error("the wrong device answers")
	}
	began := time.Now()
	for range 100 { // it is not asked again
		if d.Answer("00:2a", "/dead/b") || !d.Answer("08:01", "/good/c") {
			t.Error("the wrong device answers")
		}
	}
	if took := time.Since(began); took > 50*devicePatience {
		t.Errorf("the calls took %v", took)
	}
	if d.Failed() != 101 {
		t.Errorf("%d failures", d.Failed())
	}
	dead()
	for !d.Answer("00:2a", "/dead/b") {
	}
}

// TestManyDevices asks more devices than are remembered. One that does not answer is.
func TestManyDevices(t *testing.T) {
	var d Devices
	defer d.Hang("/dead/")()
	d.Answer("dead", "/dead/a")
	for i := range maxDevices + 9 {
		d.Answer(strconv.Itoa(i), "/good")
	}
	if len(d.known) > maxDevices || d.known["dead"] == nil {
		t.Errorf("%d devices are known, the one that does not answer: %v", len(d.known), d.known["dead"] != nil)
	}
}

// TestDevicesTogether asks a file system that answers slowly from many goroutines.
func TestDevicesTogether(t *testing.T) {
	var d Devices
	release := d.Hang("/slow/")
	answers := make(chan bool)
	for range 8 {
		go func() { answers <- d.Answer("00:2b", "/slow/a") }()
	}
	time.AfterFunc(50*time.Millisecond, release)
	for range 8 {
		if !<-answers {
			t.Error("a file system that answers late counts as one that does not")
		}
	}
	if d.Failed() != 0 {
		t.Errorf("%d failures", d.Failed())
	}
}

// TestSilentFile looks up an address in a file whose file system does not answer, and again
// when it does.
func TestSilentFile(t *testing.T) {
	first, second := objects(t)
	u := NewUser(View{ProcRoot: t.TempDir()})
	first.Dev, second.Dev = "00:2a", "08:01"
	second.Start, second.End = second.Start+0x700000, second.End+0x700000
	const pid = 1 << 20
	u.Mapped(pid, first)
	u.Mapped(pid, second)
	release := u.devices.Hang(first.Path)
	defer release()
	names := func() string {
		return u.Lookup(pid, first.Start)[0].Name + " " + u.Lookup(pid, second.Start)[0].Name
	}
	for range 3 {
		if got := names(); got != " second_a" {
			t.Errorf("the names are %q", got)
		}
	}
	release()
	for u.Lookup(pid, first.Start)[0].Name == "" {
		if _, err := os.Stat(first.Path); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(); got != "first_a second_a" {
		t.Errorf("the names are %q", got)
	}
}
