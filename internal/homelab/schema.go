package homelab

import (
	"strings"

	"lumacore.dev/lumacore/internal/settings"
)

// Schema is the JSON Schema of a file of answers. None of them is required in the file:
// flags may give them too.
func Schema() []byte {
	list := []settings.Property{
		{Name: "apiVersion", Description: "The version of this form.", Const: APIVersion},
		{Name: "kind", Description: "What the file is.", Const: Kind},
	}
	for _, q := range Questions {
		p := settings.Property{Name: q.Key, Type: "string"}
		if v := settings.Lookup(q.Setting); v != nil {
			p = v.Property(q.Key)
		}
		if q.Key == "s3Provider" {
			p.Type, p.Enum = "", settings.Providers
		}
		p.Description, p.Examples = strings.ToUpper(q.Meaning[:1])+q.Meaning[1:]+".", []string{q.Example}
		list = append(list, p)
	}
	return settings.MappingSchema("Answers", "What an owner says to lumacore init. Nothing secret may stand here.", []string{"apiVersion", "kind"}, list, false)
}
