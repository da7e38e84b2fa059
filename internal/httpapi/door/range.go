package door

// Range reads skip and limit; a limit beyond the largest is the largest.
func (p Params) Range(otherwise, largest int) (limit, skip int, err error) {
	if limit, err = p.Number("limit", 1, otherwise); err != nil {
		return 0, 0, err
	}
	if skip, err = p.Number("skip", 0, 0); err != nil {
		return 0, 0, err
	}
	return min(limit, largest), skip, nil
}

// Slice returns the part of a list that Range asks for.
func Slice[T any](all []T, skip, limit int) []T {
	all = all[min(skip, len(all)):]
	return all[:min(limit, len(all))]
}
