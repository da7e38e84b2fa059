package markup

import "strings"

const space = " \n\r\t\f"

// attribute finds the value of a tag's first attribute of that name (lower case), as WHATWG HTML
// section 13.2.5.32 and those behind it read a tag. tag begins with "<" and the name of the element.
func attribute(tag, name string) (start, end int, ok bool) {
	i := 1
	for i < len(tag) && !strings.ContainsRune(space+"/>", rune(tag[i])) {
		i++
	}
	for {
		for i < len(tag) && strings.IndexByte(space+"/", tag[i]) >= 0 {
			i++
		}
		if i >= len(tag) || tag[i] == '>' {
			return 0, 0, false
		}
		key := i
		for i++; i < len(tag) && strings.IndexByte(space+"/>=", tag[i]) < 0; i++ { // a first "=" is part of the name
		}
		found := strings.EqualFold(tag[key:i], name)
		start, end, i = value(tag, i)
		if found {
			return start, end, start < end
		}
	}
}

// value finds the value that may follow an attribute's name, which ends at i, and what comes
// behind it.
func value(tag string, i int) (start, end, next int) {
	j := skipSpace(tag, i)
	if j >= len(tag) || tag[j] != '=' {
		return i, i, j
	}
	j = skipSpace(tag, j+1)
	if j >= len(tag) || tag[j] == '>' {
		return j, j, j
	}
	if quote := tag[j]; quote == '"' || quote == '\'' {
		n := strings.IndexByte(tag[j+1:], quote)
		if n < 0 {
			return j + 1, len(tag), len(tag)
		}
		return j + 1, j + 1 + n, j + 2 + n
	}
	n := strings.IndexAny(tag[j:], space+">")
	if n < 0 {
		n = len(tag) - j
	}
	return j, j + n, j + n
}

func skipSpace(tag string, i int) int {
	for i < len(tag) && strings.IndexByte(space, tag[i]) >= 0 {
		i++
	}
	return i
}
