# Runs a gitlab.rb as GitLab does, and prints what it sets, a line each:
#
#   ruby gitlab_rb.rb FILE
#
# In GitLab the file is Ruby too, in an object whose methods are the settings.
class Settings
  # Remembers what was set, at any depth.
  class Node
    def initialize(name) = @name = name
    def [](key) = Node.new("#{@name}['#{key}']")
    def []=(key, value)
      puts "#{@name}['#{key}'] = #{value.inspect}"
    end
  end

  def method_missing(name, *arguments)
    return Node.new(name.to_s) if arguments.empty?

    puts "#{name} #{arguments.map(&:inspect).join(', ')}"
  end

  def respond_to_missing?(*) = true
end

Settings.new.instance_eval(File.read(ARGV.fetch(0)), ARGV.fetch(0))
