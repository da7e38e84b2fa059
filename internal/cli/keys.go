package cli

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type keyCmds struct {
	Create keyCreateCmd `cmd:"" help:"Make an API key and print it, once."`
	List   keyListCmd   `cmd:"" help:"List API keys, without their secrets."`
	Delete keyDeleteCmd `cmd:"" help:"Forget an API key; it is refused from then on."`

	Disable keyDisableCmd `cmd:"" help:"Refuse an API key until it is enabled again."`
	Enable  keyEnableCmd  `cmd:"" help:"Accept a disabled API key again."`
}

type keyCreateCmd struct {
	Value       string `placeholder:"KEY" help:"Take this key, which your clients already have, instead of a new one; - reads it from standard input."`
	Domain      string `placeholder:"DOMAIN" help:"Bind the key to one sending domain."`
	Role        string `enum:"admin,developer,basic,sending" default:"admin" placeholder:"ROLE" help:"What the key may do: admin, everything (the default); developer, everything but keys and accounts; basic, look only; sending, send only."`
	Description string `placeholder:"TEXT" help:"What the key is for."`

	Expires   time.Duration `placeholder:"DURATION" help:"Refuse the key after this time, such as 720h."`
	Address   []string      `placeholder:"ADDRESS" help:"Accept the key from this address or network only; may be given several times."`
	PerMinute int           `placeholder:"N" help:"Refuse more than this many sending calls a minute."`
	PerDay    int           `placeholder:"N" help:"Refuse more than this many sending calls a day (UTC)."`
}

// Run makes a key.
func (c keyCreateCmd) Run(ctx context.Context, s *session) error {
	if c.Value == "-" {
		value, err := s.readSecret()
		if err != nil {
			return err
		}
		c.Value = value
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.CreateKey(ctx, apiclient.NewKey{
		Value: c.Value, Domain: c.Domain, Role: c.Role, Description: c.Description,
		Lifetime: c.Expires, Addresses: c.Address, PerMinute: c.PerMinute, PerDay: c.PerDay,
	})
	if err != nil {
		return err
	}
	k := a.Value.Key
	t := &table{}
	t.add("id", k.ID)
	t.add("role", k.Role)
	t.add("domain", orAll(k.Domain))
	if c.Value == "" {
		t.add("API key", k.Secret)
		s.note("The key is shown this once; keep it.")
	}
	return s.show(a.JSON, t)
}

func orAll(domain string) string {
	if domain == "" {
		return "all"
	}
	return domain
}

type keyListCmd struct{}

// Run lists keys.
func (keyListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.Keys(ctx)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ID", "ROLE", "DOMAIN", "CREATED", "LAST USED", "STATE", "DESCRIPTION"}, none: "no keys; make one with: sealpost key create"}
	for _, k := range a.Value.Items {
		t.add(k.ID, k.Role, orAll(k.Domain), k.CreatedAt, cmp.Or(k.LastUsedAt, "never"), keyState(k), k.Description)
	}
	return s.show(a.JSON, t)
}

// keyState says in a word whether a key is accepted.
func keyState(k apiclient.Key) string {
	switch {
	case k.Disabled:
		return "disabled"
	case k.ExpiresAt != "":
		return "until " + k.ExpiresAt
	}
	return "enabled"
}

type keyDisableCmd struct {
	ID string `arg:"" help:"The key's id, as key list shows it."`
}

// Run disables a key.
func (c keyDisableCmd) Run(ctx context.Context, s *session) error {
	return switchKey(ctx, s, c.ID, true)
}

type keyEnableCmd struct {
	ID string `arg:"" help:"The key's id, as key list shows it."`
}

// Run enables a key.
func (c keyEnableCmd) Run(ctx context.Context, s *session) error {
	return switchKey(ctx, s, c.ID, false)
}

func switchKey(ctx context.Context, s *session, id string, disabled bool) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.SetKeyDisabled(ctx, id, disabled)
	if err != nil {
		return err
	}
	t := &table{}
	t.add("id", a.Value.Key.ID)
	t.add("state", keyState(a.Value.Key))
	return s.show(a.JSON, t)
}

type keyDeleteCmd struct {
	ID string `arg:"" help:"The key's id, as key list shows it."`
}

// Run forgets a key.
func (c keyDeleteCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.DeleteKey(ctx, c.ID)
	if err != nil {
		return err
	}
	return s.show(a.JSON, noteTable(a.Value))
}

// noteTable is what people see of an answer that only says so.
func noteTable(n apiclient.Note) *table { return &table{none: clean(n.Message)} }

type credentialCmds struct {
	Add    credentialAddCmd    `cmd:"" help:"Make a submission login, or change its password."`
	List   credentialListCmd   `cmd:"" help:"List the submission logins of a domain."`
	Delete credentialDeleteCmd `cmd:"" help:"Delete a submission login."`
}

type credentialAddCmd struct {
	Login         string `arg:"" placeholder:"USER@DOMAIN" help:"The login: an address of the sending domain."`
	Password      string `xor:"password" placeholder:"PASSWORD" help:"The password, 5 to 32 characters. Without one the server makes it. Arguments can be seen by everybody on the host; --password-stdin is better."`
	PasswordStdin bool   `xor:"password" help:"Read the password from standard input."`
}

// Run makes a login.
func (c credentialAddCmd) Run(ctx context.Context, s *session) error {
	domain, err := domainOf(c.Login)
	if err != nil {
		return err
	}
	if c.PasswordStdin {
		if c.Password, err = s.readSecret(); err != nil {
			return err
		}
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.CreateCredential(ctx, domain, c.Login, c.Password)
	if err != nil {
		return err
	}
	t := &table{none: clean(a.Value.Message)}
	for login, password := range a.Value.Credentials {
		t.add("login", login)
		t.add("password", password)
		s.note("The password is shown this once; keep it.")
	}
	return s.show(a.JSON, t)
}

// domainOf returns the domain of a login.
func domainOf(login string) (string, error) {
	i := strings.LastIndexByte(login, '@')
	if i <= 0 || i == len(login)-1 {
		return "", usagef("%q is not a login; write user@domain", login)
	}
	return login[i+1:], nil
}

type credentialListCmd struct {
	Domain string `arg:"" help:"Sending domain."`
}

// Run lists logins.
func (c credentialListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.Credentials(ctx, c.Domain)
	if err != nil {
		return err
	}
	t := &table{head: []string{"LOGIN", "CREATED"}, none: "no logins; make one with: sealpost credential add user@" + clean(c.Domain)}
	for _, item := range a.Value.Items {
		t.add(item.Login, item.CreatedAt)
	}
	return s.show(a.JSON, t)
}

type credentialDeleteCmd struct {
	Login string `arg:"" placeholder:"USER@DOMAIN" help:"The login."`
}

// Run deletes a login.
func (c credentialDeleteCmd) Run(ctx context.Context, s *session) error {
	domain, err := domainOf(c.Login)
	if err != nil {
		return err
	}
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.DeleteCredential(ctx, domain, c.Login)
	if err != nil {
		return err
	}
	return s.show(a.JSON, noteTable(a.Value))
}
