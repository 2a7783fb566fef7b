package tetragon

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/gotrace/gotrace/lang/policy/tetragon"
	"github.com/gotrace/gotrace/runtime/hosts"
	"github.com/gotrace/gotrace/runtime/output"
)

// actor carries out the actions of user space: it requests URLs and looks up names.
// Actions run one after the other, concurrently with the session. They are dropped if too
// many wait.
type actor struct {
	other output.Sink
	queue chan func()
}

// actTimeout limits the time of one action.
const actTimeout = 10 * time.Second

// do queues the actions of an outcome. A nil actor does nothing.
func (a *actor) do(o *tetragon.Outcome) {
	if a == nil {
		return
	}
	if a.queue == nil {
		a.queue = make(chan func(), 256)
		go func() {
			for f := range a.queue {
				f()
			}
		}()
	}
	run := func(f func()) {
		select {
		case a.queue <- f:
		default:
		}
	}
	for _, u := range o.URLs {
		run(func() { get(u) })
	}
	for _, name := range o.Names {
		run(func() { hosts.Lookup(name, actTimeout) })
	}
}

// get requests a URL with HTTP and ignores the answer.
func get(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	port := uint64(80)
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return err
		}
	}
	c, err := hosts.Dial(u.Hostname(), uint16(port), actTimeout)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gotrace\r\nConnection: close\r\n\r\n", u.RequestURI(), u.Host)
	_, err = c.Read(make([]byte, 4096))
	return err
}
