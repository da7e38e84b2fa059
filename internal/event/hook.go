package event

// A hook is what webhooks call a type of event. Both failures have a name of their own
// there. Rejected and stored messages have none: no webhook tells of them.
var hookNames = [...]struct {
	typ  Type
	name string
}{
	{Accepted, "accepted"}, {Clicked, "clicked"}, {Complained, "complained"}, {Delivered, "delivered"}, {Opened, "opened"},
	{FailedPermanent, "permanent_fail"}, {FailedTemporary, "temporary_fail"}, {Unsubscribed, "unsubscribed"},
}

// Hook returns the name that webhooks know the type by; empty if they do not.
func (t Type) Hook() string {
	for _, h := range hookNames {
		if h.typ == t {
			return h.name
		}
	}
	return ""
}

// TypeOfHook returns the type of that name; false if webhooks know none.
func TypeOfHook(name string) (Type, bool) {
	for _, h := range hookNames {
		if h.name == name {
			return h.typ, true
		}
	}
	return 0, false
}

// Hooks returns the names of all types that webhooks know, in alphabetical order.
func Hooks() []string {
	names := make([]string, len(hookNames))
	for i, h := range hookNames {
		names[i] = h.name
	}
	return names
}
