package images

import (
	"strconv"
	"unicode/utf8"
)

// show quotes an image name for a message; what is no image name may be long.
func show(image string) string {
	const most = 200
	if len(image) > most {
		for most := most; ; most-- {
			if utf8.RuneStart(image[most]) {
				return strconv.Quote(image[:most]) + "…"
			}
		}
	}
	return strconv.Quote(image)
}
