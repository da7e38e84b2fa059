package routing

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
)

// MaxAction is the length of an action in octets.
const MaxAction = 2048

// An Action is what a route does with a message.
type Action struct {
	Verb    string   // forward, store or stop
	Targets []string // of forward: addresses and http or https URLs; of store: at most one URL to be told
}

// ParseAction reads an action. Errors say what is wrong, in words for who wrote it.
func ParseAction(s string) (Action, error) {
	if len(s) > MaxAction {
		return Action{}, fmt.Errorf("it is longer than %d octets", MaxAction)
	}
	sc := scanner{rest: s}
	a := Action{Verb: sc.word()}
	args, err := sc.arguments()
	if err != nil {
		return Action{}, err
	}
	if w := sc.word(); w != "" {
		return Action{}, fmt.Errorf("%.40q is not expected", w)
	}
	switch a.Verb {
	case "stop":
		if len(args) > 0 {
			return Action{}, fmt.Errorf("stop has no arguments")
		}
	case "store":
		err = a.store(args)
	case "forward":
		err = a.forward(args)
	default:
		err = fmt.Errorf("%.40q is no action; there are forward, store and stop", a.Verb)
	}
	return a, err
}

func (a *Action) store(args []argument) error {
	for _, arg := range args {
		if arg.name != "" && arg.name != "notify" || len(args) > 1 {
			return fmt.Errorf("store has one argument at most, notify")
		}
		if !isURL(arg.value) {
			return fmt.Errorf("%.100q is no URL", arg.value)
		}
		a.Targets = []string{arg.value}
	}
	return nil
}

func (a *Action) forward(args []argument) error {
	for _, arg := range args {
		if arg.name != "" {
			return fmt.Errorf("forward has no argument %.40q", arg.name)
		}
		if isURL(arg.value) {
			a.Targets = append(a.Targets, arg.value)
			continue
		}
		for one := range strings.SplitSeq(arg.value, ",") {
			m, err := mail.ParseAddress(strings.TrimSpace(one))
			if err != nil {
				return fmt.Errorf("%.100q is neither an address nor a URL", one)
			}
			a.Targets = append(a.Targets, m.String())
		}
	}
	if len(a.Targets) == 0 {
		return fmt.Errorf("forward needs an address or a URL")
	}
	return nil
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
