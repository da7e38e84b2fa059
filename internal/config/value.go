package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// set stores a value as the TOML library decodes it: string, int64, bool or a list
// of strings. Its errors name the remedy; they do not repeat the value.
func set(target, value any) error {
	switch t := target.(type) {
	case *string:
		return text(value, func(s string) error { *t = s; return nil })
	case *TLSMode:
		return text(value, func(s string) error { *t = TLSMode(s); return nil })
	case *LogFormat:
		return text(value, func(s string) error { *t = LogFormat(s); return nil })
	case *LogLevel:
		return text(value, func(s string) error { *t = LogLevel(s); return nil })
	case *Listeners:
		if s, ok := value.(string); ok { // one needs no list
			value = []any{}
			if s != "" {
				value = []any{s}
			}
		}
		var all []string
		if err := list(&all, value, func(s string) (string, error) { return s, listenAddress(s) }); err != nil {
			return err
		}
		if *t = nil; len(all) > 0 {
			*t = all
		}
		return nil
	case *[]string:
		return list(t, value, func(s string) (string, error) { return s, nil })
	case *bool:
		b, ok := value.(bool)
		if !ok {
			return errors.New("write true or false, without quotes")
		}
		*t = b
		return nil
	case *int:
		n, ok := value.(int64)
		if !ok || int64(int(n)) != n {
			return errors.New("write a whole number, without quotes")
		}
		*t = int(n)
		return nil
	case *time.Duration:
		if n, ok := value.(int64); ok && n == 0 {
			*t = 0 // none of any unit
			return nil
		}
		return text(value, func(s string) (err error) { *t, err = parseDuration(s); return err })
	case *[]time.Duration:
		return list(t, value, parseDuration)
	case *[]netip.Prefix:
		return list(t, value, parsePrefix)
	case *[]netip.Addr:
		return list(t, value, parseAddr)
	}
	return fmt.Errorf("a setting of type %T cannot be read", target)
}

// setText stores a value that came as text: from the environment, where lists are
// separated by commas.
func setText(target any, s string) error {
	switch target.(type) {
	case *bool:
		switch s {
		case "true":
			return set(target, true)
		case "false":
			return set(target, false)
		}
		return errors.New("write true or false")
	case *int:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return errors.New("write a whole number")
		}
		return set(target, n)
	case *[]time.Duration, *[]netip.Prefix, *[]netip.Addr, *[]string, *Listeners:
		items := []any{}
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		return set(target, items)
	}
	return set(target, s)
}

// setTOML stores a value written as TOML.
func setTOML(target any, literal string) error {
	var document map[string]any
	if err := toml.Unmarshal([]byte("v = "+literal), &document); err != nil {
		return err
	}
	return set(target, document["v"])
}

func text(value any, store func(string) error) error {
	s, ok := value.(string)
	if !ok {
		return errors.New("write a text in quotes")
	}
	return store(s)
}

func list[T any](target *[]T, value any, parse func(string) (T, error)) error {
	items, ok := value.([]any)
	if !ok {
		return errors.New(`write a list, such as ["first", "second"]`)
	}
	parsed := make([]T, 0, len(items))
	for _, item := range items {
		s, ok := item.(string)
		if !ok {
			return errors.New("write every item of the list as a text in quotes")
		}
		v, err := parse(s)
		if err != nil {
			return fmt.Errorf("%q: %w", cut(s), err)
		}
		parsed = append(parsed, v)
	}
	*target = parsed
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New(`write a duration with its unit, such as "90s", "15m" or "8h"; a day is "24h"`)
	}
	return d, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New(`write a network as address/bits, such as "192.0.2.0/24" or "2001:db8::/32"`)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("the address has bits beyond the prefix; write %q for the network, or %q for the one address", p.Masked(), p.Addr())
	}
	return p, nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, errors.New(`write an IP address, such as "192.0.2.25"`)
	}
	return a.Unmap(), nil
}

// format writes a value as TOML; it is the inverse of setTOML.
func format(target any) string {
	switch t := target.(type) {
	case *string:
		return quote(*t)
	case *TLSMode:
		return quote(string(*t))
	case *LogFormat:
		return quote(string(*t))
	case *LogLevel:
		return quote(string(*t))
	case *Listeners:
		if len(*t) > 1 {
			return formatList(*t, func(s string) string { return s })
		}
		return quote(strings.Join(*t, ""))
	case *[]string:
		return formatList(*t, func(s string) string { return s })
	case *bool:
		return strconv.FormatBool(*t)
	case *int:
		return strconv.Itoa(*t)
	case *time.Duration:
		return quote(formatDuration(*t))
	case *[]time.Duration:
		return formatList(*t, formatDuration)
	case *[]netip.Prefix:
		return formatList(*t, netip.Prefix.String)
	case *[]netip.Addr:
		return formatList(*t, netip.Addr.String)
	}
	return fmt.Sprintf("# a setting of type %T cannot be written", target)
}

func formatList[T any](items []T, one func(T) string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = quote(one(item))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// formatDuration is Duration.String without its zeros: 8h, not 8h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func decimal(n int) string { return strconv.Itoa(n) }

// quote writes a basic string of TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// cut shortens foreign text for an error message.
func cut(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
