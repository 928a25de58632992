/**
 * The standard library that templates find loaded, replacements for what WebAssembly lacks, and `Directorate::JobRender`,
 * the only thing the host calls.
 */

/** Libraries that are in the Ruby director's process; other parts of the standard library can be required by templates. */
export const preludeLibraries = String.raw`
# ipaddr wants these of socket, which does not exist without a network.
class Socket
  AF_UNSPEC = 0
  AF_INET = 2
  AF_INET6 = 10
end
class IPSocket; end
class SocketError < StandardError; end
%w[socket active_support active_support/core_ext active_support/core_ext/object active_support/core_ext/object/blank].each do |feature|
  $LOADED_FEATURES << "#{$LOAD_PATH.first}/#{feature}.rb"
end

%w[erb json yaml ostruct shellwords base64 securerandom openssl digest set date time uri cgi stringio strscan zlib
   delegate forwardable singleton tsort pathname ipaddr timeout].each { |library| require library }

class Object
  def blank? = respond_to?(:empty?) ? !!empty? : !self
  def present? = !blank?
  def presence = present? ? self : nil
end

class String
  def blank? = empty? || !match?(/[^[:space:]]/)
end

# No threads here: the host's time limit covers the block.
module Timeout
  def self.timeout(seconds, *) = yield(seconds)
  def timeout(seconds, *) = yield(seconds)
end

module Directorate
  # Starting a process has no meaning here; the stand-ins that WebAssembly offers claim success or fail with riddles.
  def self.refuse(owner, name)
    owner.define_singleton_method(name) { |*| raise NotImplementedError, "templates cannot start processes (#{name})" }
  end

  [:system, :spawn, :exec, :fork, 96.chr.to_sym].each do |name|
    [Kernel, Process].each { |owner| refuse(owner, name) }
    Kernel.define_method(name) { |*| raise NotImplementedError, "templates cannot start processes (#{name})" }
    Kernel.send(:private, name)
  end
  refuse(IO, :popen)

  # exit! would end the interpreter for everyone who shares it; as SystemExit it is the template's own failure.
  Process.define_singleton_method(:exit!) { |*| raise SystemExit, 'exit' }
  Kernel.define_singleton_method(:exit!) { |*| raise SystemExit, 'exit' }
  Kernel.define_method(:exit!) { |*| raise SystemExit, 'exit' }
end
`;

/** Rendering: one `Directorate::JobRender` per job, one fresh evaluation context per template. */
export const preludeRender = String.raw`
module Directorate
  # The templates of one job. The host calls Directorate.job= and then render(index) for each: 0 is monit.
  class JobRender
    BASE = Bosh::Common::Template::EvaluationContext

    def initialize(job)
      @name, @spec_json, @sources = job.values_at('name', 'spec', 'sources')
      @addresses = LinkAddresses.new(job['dns'])
    end

    # "+" and the content, or "-" and {"line", "message"} as JSON.
    def render(index)
      src, encoded = @sources.fetch(index)
      file = "#{@name}/#{src}"
      template = ERB.new(encoded.unpack1('m').force_encoding(Encoding::UTF_8), trim_mode: '-')
      template.filename = file
      '+'.b << template.result(new_context.get_binding).b
    rescue Exception => error
      '-'.b << JSON.generate('line' => line_of(error, file), 'message' => text_of(error)).b
    end

    private

    # The spec is read anew, so that nothing a template changes reaches the next one. The class is new as well, because
    # methods and constants that a template defines land in it; it takes BOSH's name for the messages that name it.
    def new_context
      type = Class.new(BASE)
      Bosh::Common::Template.send(:remove_const, :EvaluationContext)
      Bosh::Common::Template.const_set(:EvaluationContext, type)
      type.class_eval('def get_binding = binding')
      type.new(JSON.parse(@spec_json, max_nesting: false), @addresses)
    end

    def line_of(error, file)
      marker = "#{file}:"
      frame = error.backtrace&.find { |entry| entry.include?(marker) }
      frame ? frame[/#{Regexp.escape(marker)}(\d+)/, 1] : '(unknown)'
    end

    def text_of(error)
      error.to_s.dup.force_encoding(Encoding::UTF_8).scrub
    end
  end

  class << self
    def job=(json)
      @job = JobRender.new(JSON.parse(json, max_nesting: false))
    end

    def render(index) = @job.render(index)
  end
end
`;
