package cli

import (
	"context"

	"github.com/sealpost/sealpost/internal/apiclient"
)

type accountCmds struct {
	Create  accountCreateCmd  `cmd:"" help:"Make a sub-account. Its first key: sealpost key create --account ID."`
	List    accountListCmd    `cmd:"" help:"List sub-accounts."`
	Disable accountDisableCmd `cmd:"" help:"Keep a sub-account from sending. What it sent already is delivered."`
	Enable  accountEnableCmd  `cmd:"" help:"Let a disabled sub-account send again."`
	Delete  accountDeleteCmd  `cmd:"" help:"Delete a sub-account with its domains, keys and waiting mail."`
}

type accountCreateCmd struct {
	Name string `arg:"" help:"What people call it."`
}

// Run makes a sub-account.
func (c accountCreateCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.CreateSubaccount(ctx, c.Name)
	if err != nil {
		return err
	}
	return s.show(a.JSON, accountTable(a.Value.Subaccount))
}

func accountTable(a apiclient.Subaccount) *table {
	t := &table{}
	t.add("id", a.ID)
	t.add("name", a.Name)
	t.add("status", a.Status)
	return t
}

type accountListCmd struct{}

// Run lists sub-accounts.
func (accountListCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.Subaccounts(ctx)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ID", "NAME", "STATUS", "CREATED"}, none: "no sub-accounts; make one with: sealpost account create NAME"}
	for _, x := range a.Value.Items {
		t.add(x.ID, x.Name, x.Status, x.CreatedAt)
	}
	return s.show(a.JSON, t)
}

type accountDisableCmd struct {
	ID string `arg:"" help:"The sub-account's id, as account list shows it."`
}

// Run disables a sub-account.
func (c accountDisableCmd) Run(ctx context.Context, s *session) error {
	return switchAccount(ctx, s, c.ID, true)
}

type accountEnableCmd struct {
	ID string `arg:"" help:"The sub-account's id, as account list shows it."`
}

// Run enables a sub-account.
func (c accountEnableCmd) Run(ctx context.Context, s *session) error {
	return switchAccount(ctx, s, c.ID, false)
}

func switchAccount(ctx context.Context, s *session, id string, disabled bool) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	a, err := client.SetSubaccountDisabled(ctx, id, disabled)
	if err != nil {
		return err
	}
	return s.show(a.JSON, accountTable(a.Value.Subaccount))
}

type accountDeleteCmd struct {
	ID string `arg:"" help:"The sub-account's id, as account list shows it."`
}

// Run deletes a sub-account.
func (c accountDeleteCmd) Run(ctx context.Context, s *session) error {
	client, err := s.connect(ctx)
	if err != nil {
		return err
	}
	client.ActFor(c.ID)
	a, err := client.DeleteSubaccount(ctx)
	if err != nil {
		return err
	}
	return s.show(a.JSON, noteTable(a.Value))
}
